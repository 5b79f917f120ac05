package main

import (
	"io"
	"log/slog"
	"os"
	"strings"

	"dbslm/pkg/telemetry"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// defaultDB is the embedded store that commands use unless told otherwise.
const defaultDB = "var/dbslm"

// streams are what a command reads and writes.
type streams struct {
	in  io.Reader
	out io.Writer
	err io.Writer
}

// terminal reports whether a stream is a terminal.
func terminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// app is what every command shares: the streams and the global flags.
type app struct {
	streams
	db             string
	server         string
	tenant         string
	logLevel       string
	plaintextPeers bool
}

func newRoot(s streams) *cobra.Command {
	a := &app{streams: s}
	root := &cobra.Command{
		Use:   "dbslm",
		Short: "A language model you can SELECT from",
		Long: `DB-SLM keeps a language model in relational tables: every generated word can be traced to its rows,
every correction binds until it is revoked, every reply can be replayed.

Every flag can also be set by an environment variable: --db by DBSLM_DB, --log-level by DBSLM_LOG_LEVEL.
Exit codes: 0 done, 1 failed (trying again may help), 2 cannot be done as given, 130 interrupted.`,
		Example: `  dbslm train books/ --order 3
  dbslm chat
  dbslm chat --prompt "Tell me about the harbour."
  dbslm eval heldout.txt --json`,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return fromEnvironment(cmd.Flags())
		},
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%v; see: %s --help", err, cmd.CommandPath())
	})
	flags := root.PersistentFlags()
	flags.StringVar(&a.db, "db", defaultDB, "store: a `directory` (embedded) or mysql://user:password@host:3306/")
	flags.StringVar(&a.server, "server", "", "use the running gateway at `host:port` instead of a store")
	flags.StringVar(&a.tenant, "tenant", "", "tenant; empty is \"default\"")
	flags.StringVar(&a.logLevel, "log-level", "warn", "lowest `level` that is logged to standard error: debug, info, warn, error")
	flags.BoolVar(&a.plaintextPeers, "plaintext-peers", false, "reach peers on other machines without TLS")
	root.AddCommand(newServe(a), newMigrate(a), newTrain(a), newChat(a), newEval(a), newModels(a), newBuilds(a), newVersion(a))
	return root
}

// fromEnvironment sets every flag that the command line does not from DBSLM_<FLAG>.
func fromEnvironment(flags *pflag.FlagSet) error {
	var err error
	flags.VisitAll(func(f *pflag.Flag) {
		name := "DBSLM_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value, ok := os.LookupEnv(name)
		if err != nil || f.Changed || !ok || f.Name == "help" {
			return
		}
		if setErr := flags.Set(f.Name, value); setErr != nil {
			err = usagef("environment variable %s: %v", name, setErr)
		}
	})
	return err
}

// noArgs and atLeast check positional arguments with errors that name the command's help.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("unknown argument %q; see: %s --help", args[0], cmd.CommandPath())
	}
	return nil
}

// telemetry sets up the log of a command that runs services in this process.
func (a *app) telemetry(service string) (*telemetry.Telemetry, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.logLevel)); err != nil {
		return nil, usagef("unknown log level %q; use debug, info, warn or error", a.logLevel)
	}
	return telemetry.Setup(telemetry.Config{Service: service, Version: version, LogLevel: level, LogWriter: a.err})
}
