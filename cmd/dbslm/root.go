package main

import (
	"io"
	"os"
	"strings"

	"dbslm/pkg/errors"

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
	f, ok := behind(stream).(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// behind is the stream to which this program's own writers write.
func behind(stream any) any {
	for {
		switch s := stream.(type) {
		case *output:
			stream = s.Writer
		case *visible:
			stream = s.to
		default:
			return stream
		}
	}
}

// app is what every command shares: the streams and the global flags.
type app struct {
	streams
	db             string
	server         string
	tenant         string
	logLevel       string
	tlsCA          string
	plaintextPeers bool
}

func newRoot(s streams) *cobra.Command {
	a := &app{streams: s}
	root := &cobra.Command{
		Use:   "dbslm",
		Short: "A language model you can SELECT from",
		Long: `DB-SLM keeps a language model in relational tables: every generated word can be traced to its rows,
every correction binds until it is revoked, and the same seed gives the same reply, byte for byte.

Every flag can also be set by an environment variable: --db by DBSLM_DB, --log-level by DBSLM_LOG_LEVEL.
Exit codes: 0 done, 1 failed (trying again may help), 2 cannot be done as given, 3 paused at
a checkpoint (the same command goes on), 130 interrupted.`,
		Example: `  dbslm train books/ --order 3
  dbslm chat
  dbslm chat --prompt "Tell me about the harbour."
  dbslm eval heldout.txt --json`,
		DisableFlagsInUseLine: true,
		SilenceErrors:         true,
		SilenceUsage:          true,
		Args:                  knownCommand,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return fromEnvironment(cmd.Flags())
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%v; see: %s --help", flagError(err), cmd.CommandPath())
	})
	flags := root.PersistentFlags()
	flags.StringVar(&a.db, "db", defaultDB, "store: a `directory` (embedded) or mysql://user:password@host:3306/")
	flags.StringVar(&a.server, "server", "", "use the running gateway at `host:port` or unix:///path instead of a store")
	flags.StringVar(&a.tenant, "tenant", "", "`name` of the tenant; empty is \"default\"")
	flags.StringVar(&a.logLevel, "log-level", "",
		"log from this `level` on: debug, info, warn or error (default: serve info, migrate warn, else none)")
	flags.StringVar(&a.tlsCA, "tls-ca", "", "reach --server and peers over TLS, trusting the authorities in a PEM `file`, or \"system\" for this machine's")
	flags.BoolVar(&a.plaintextPeers, "plaintext-peers", false, "reach peers on other machines without TLS")
	root.AddCommand(newServe(a), newMigrate(a), newTrain(a), newChat(a), newEval(a), newEvaluations(a), newExport(a), newImport(a), newScore(a), newPredict(a), newContexts(a), newModels(a), newDocuments(a), newForget(a), newCopy(a), newBuilds(a), newBuild(a), newPrune(a),
		atTop(newBuildsPublish, a, "  dbslm publish 7 --model harbour"), atTop(newBuildsRollback, a, "  dbslm rollback --model harbour"), newJobs(a),
		newExplain(a), newReplay(a), newContext(a), newHistory(a), newCorrect(a), newCorrections(a), newRemember(a), newFacts(a), newBiases(a), newErase(a), newExportUser(a), newRetention(a),
		newGenerate(a), newProfiles(a), newBans(a), newConcepts(a), newSignals(a), newConverse(a),
		newVersion(a), newCompletion(a))
	root.SetHelpCommand(newHelp())
	root.CompletionOptions.DisableDefaultCmd = true
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
			err = usagef("environment variable %s: %v", name, flagError(setErr))
		}
	})
	return err
}

// flagError words a wrong value of a flag for people; pflag speaks of strconv.
func flagError(err error) error {
	invalid, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return err
	}
	wanted := "a whole number"
	switch f := invalid.GetFlag(); f.Value.Type() {
	case "bool":
		wanted = "true or false"
	case "float64":
		wanted = "a number"
	case "uint32", "uint64":
		wanted = "a whole number, 0 or more"
	}
	return usagef("--%s %q is not %s", invalid.GetFlag().Name, invalid.GetValue(), wanted)
}
