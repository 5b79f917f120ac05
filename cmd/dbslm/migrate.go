package main

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"dbslm"
	"dbslm/pkg/database"
	"dbslm/pkg/telemetry"

	"github.com/spf13/cobra"
)

func newMigrate(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "migrate [ngram] [memory] [concept]",
		Short: "Create or update the tables of a store",
		Long: `Create or update the tables of a store, for the named services or for all. Migrations go forward only, one
restartable step each, under a lock: the command may be repeated and run from several places at once. An
embedded store is migrated by every command that opens it; a server only by this one.

With ?engine=mariadb-hybrid in the URL, tables of counts and builds are put on Aria; with
?engine=innodb they are put back. Tables with rows are copied, so stop all services first. Without engine= tables
stay where they are, and every other command uses them there.`,
		Example: `  dbslm migrate --db mysql://dbslm:secret@db:3306/
  dbslm migrate --db 'mysql://dbslm:secret@db:3306/?engine=mariadb-hybrid'
  dbslm migrate --db var/dbslm ngram`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.server != "" {
				return usagef("migrate works on a store: give --db, not --server")
			}
			target, err := database.ParseTarget(a.db)
			if err != nil {
				return err
			}
			if target.Memory() {
				return usagef("--db :memory: has nothing to migrate; name a directory or a mysql:// URL")
			}
			var services []dbslm.Service
			for _, arg := range args {
				services = append(services, dbslm.Service(arg))
			}
			tel, err := a.telemetry(telemetry.Config{Service: "dbslm-migrate", LogLevel: slog.LevelWarn})
			if err != nil {
				return err
			}
			done, err := dbslm.Migrate(cmd.Context(), a.db, tel.Logger, services...)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(a.out, done)
			}
			for _, m := range done {
				state := "up to date"
				if m.Applied > 0 {
					state = plural(m.Applied, "migration applied", "migrations applied")
				}
				fmt.Fprintf(a.out, "%s: %s\n", m.Schema, state)
				for _, table := range slices.Sorted(maps.Keys(m.Engines)) {
					if engine := m.Engines[table]; engine != "InnoDB" {
						fmt.Fprintf(a.out, "  %s is on %s\n", table, engine)
					}
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
