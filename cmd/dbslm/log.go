package main

import (
	"io"
	"log/slog"
	"sync"

	"dbslm/pkg/telemetry"
)

// telemetry sets up what a process logs, from the given level on unless --log-level says otherwise.
func (a *app) telemetry(service string, level slog.Level) (*telemetry.Telemetry, error) {
	return a.setUp(service, level, a.err)
}

// quietTelemetry sets up what a command logs that runs services in its own process: everything that goes wrong reaches
// the person as the command's own last line, so nothing is logged unless --log-level asks for it. What the services had to
// say about an error is kept, for the one kind of error whose line says nothing: an internal one.
func (a *app) quietTelemetry(service string) (tel *telemetry.Telemetry, kept *keptLog, err error) {
	kept = &keptLog{}
	var to io.Writer = kept
	if a.logLevel != "" {
		to = a.err
	}
	tel, err = a.setUp(service, slog.LevelError, to)
	return tel, kept, err
}

func (a *app) setUp(service string, level slog.Level, to io.Writer) (*telemetry.Telemetry, error) {
	if a.logLevel != "" {
		if err := level.UnmarshalText([]byte(a.logLevel)); err != nil {
			return nil, usagef("--log-level %q is unknown; use debug, info, warn or error", a.logLevel)
		}
	}
	return telemetry.Setup(telemetry.Config{Service: service, Version: version, LogLevel: level, LogWriter: to})
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
