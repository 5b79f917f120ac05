package main

import (
	"io"
	"log/slog"
	"sync"

	"dbslm/pkg/telemetry"
)

// telemetry sets up what a process logs, from the given level on unless --log-level says otherwise.
func (a *app) telemetry(config telemetry.Config) (*telemetry.Telemetry, error) {
	config.Version = version
	if config.LogWriter == nil {
		config.LogWriter = a.err
	}
	if a.logLevel != "" {
		if err := config.LogLevel.UnmarshalText([]byte(a.logLevel)); err != nil {
			return nil, usagef("--log-level %q is unknown; use debug, info, warn or error", a.logLevel)
		}
	}
	return telemetry.Setup(config)
}

// quietTelemetry sets up what a command logs that runs services in its own process: everything that goes wrong reaches
// the person as the command's own last line, so nothing is logged unless --log-level asks for it. What the services had to
// say about an error is kept, for the one kind of error whose line says nothing: an internal one.
func (a *app) quietTelemetry() (tel *telemetry.Telemetry, kept *keptLog, err error) {
	kept = &keptLog{}
	config := telemetry.Config{LogLevel: slog.LevelError}
	if a.logLevel == "" {
		config.LogWriter = kept
	}
	tel, err = a.telemetry(config)
	return tel, kept, err
}

// keptLogBytes bounds what is kept of a log.
const keptLogBytes = 64 << 10

// keptLog keeps the first lines of a log.
type keptLog struct {
	mu   sync.Mutex
	text []byte
}

// Write implements io.Writer.
func (k *keptLog) Write(line []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.text)+len(line) <= keptLogBytes {
		k.text = append(k.text, line...)
	}
	return len(line), nil
}

// show writes what was kept.
func (k *keptLog) show(to io.Writer) {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, _ = to.Write(k.text)
	k.text = nil
}
