package main

import (
	"fmt"
	"runtime/debug"

	"dbslm/pkg/errors"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// estimation are the flags that say how a build is estimated and stored, and what is left out of it.
type estimation struct {
	storage, smoothing string
	cutoffs            []uint
	threshold          float64
	ngrams             uint64
	size               string
	memory             size // 0 where no flag bounds it
	bounded            bool
}

func (e *estimation) register(flags *pflag.FlagSet) {
	flags.StringVar(&e.storage, "storage", "8", "`bits` of a stored probability: 8, 16 or exact")
	flags.StringVar(&e.smoothing, "smoothing", "modified-kneser-ney", "`kind` of estimator: modified-kneser-ney, jelinek-mercer or witten-bell")
	flags.UintSliceVar(&e.cutoffs, "cutoffs", nil, "leave out what occurred at most so often: `counts` by order, as 0,0,1")
	flags.Float64Var(&e.threshold, "threshold", 0, "leave out n-grams whose removal costs less relative entropy, in `nats`: about 1e-8 to 1e-6")
	flags.Uint64Var(&e.ngrams, "target-ngrams", 0, "leave out the least useful, so that at most `N` n-grams stay")
	flags.StringVar(&e.size, "target-size", "", "leave out the least useful, so that the rows take about `SIZE` bytes: 80MB, 2GiB")
}

// registerMemory adds the flag that bounds the memory.
func (e *estimation) registerMemory(flags *pflag.FlagSet) {
	e.memory, e.bounded = 512<<20, true
	flags.Var(&e.memory, "memory", "about the most memory that counting and the build take; planning what to leave out takes more")
}

// minMemory is the least that a training is allowed.
const minMemory = 64 << 20

// within keeps a service in this process within the memory until the function that it returns is called.
func (e *estimation) within(a *app) (release func()) {
	if a.server != "" || !e.bounded {
		return func() {}
	}
	before := debug.SetMemoryLimit(int64(e.memory) / 4 * 3) // the rest is SQLite's and the runtime's own
	return func() { debug.SetMemoryLimit(before) }
}

// choose reads the flags.
func (e *estimation) choose() (storage ngramv1.Storage, smoothing ngramv1.Smoothing, pruning *ngramv1.Pruning, err error) {
	if e.bounded && e.memory < minMemory {
		return 0, 0, nil, usagef("--memory %s is too little; it takes at least %dMiB", e.memory.String(), minMemory>>20)
	}
	if storage, err = parseName("storage", e.storage, storages); err != nil {
		return 0, 0, nil, err
	}
	if smoothing, err = parseName("smoothing", e.smoothing, smoothings); err != nil {
		return 0, 0, nil, err
	}
	p := &ngramv1.Pruning{Threshold: e.threshold, TargetNgrams: e.ngrams}
	for i, cutoff := range e.cutoffs {
		if i == 0 && cutoff != 0 {
			return 0, 0, nil, usagef("--cutoffs: the count for order 1 must be 0, not %d; words always stay", cutoff)
		}
		if i > 0 && cutoff < e.cutoffs[i-1] {
			return 0, 0, nil, usagef("--cutoffs: the counts must not decrease with the order, but %d follows %d", cutoff, e.cutoffs[i-1])
		}
		if uint(uint32(cutoff)) != cutoff {
			return 0, 0, nil, usagef("--cutoffs: %d is too great a count", cutoff)
		}
		p.Cutoffs = append(p.Cutoffs, uint32(cutoff))
	}
	if !(e.threshold >= 0 && e.threshold <= 1000) {
		return 0, 0, nil, usagef("--threshold %g is impossible; it is a relative entropy in nats, such as 1e-7", e.threshold)
	}
	if e.size != "" {
		if p.TargetBytes, err = parseSize("target-size", e.size); err != nil {
			return 0, 0, nil, err
		}
	}
	given := 0
	for _, set := range []bool{p.Threshold > 0, p.TargetNgrams > 0, p.TargetBytes > 0} {
		if set {
			given++
		}
	}
	if given > 1 {
		return 0, 0, nil, usagef("--threshold, --target-ngrams and --target-size cannot be met together; give one of them")
	}
	if len(p.Cutoffs) > 0 || p.Threshold > 0 || p.TargetNgrams > 0 || p.TargetBytes > 0 {
		pruning = p
	}
	return storage, smoothing, pruning, nil
}

func newPrune(a *app) *cobra.Command {
	var e estimation
	var model string
	var noPublish, asJSON bool
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Derive a smaller build that leaves the least useful n-grams out, and publish it",
		Long: `Derive a build from all counts of a model that leaves n-grams out, and publish it. The counts stay: training goes on,
and a build without pruning is one command away (dbslm build). Words always stay, and so does whatever a
longer n-gram that stays begins or ends with; every context still sums to 1.

What goes is told by counts (--cutoffs), by the relative entropy that removing an n-gram costs (--threshold: the value is
about the relative change of perplexity for each), or by a target, which finds the threshold that meets it. Storage and
estimator are those of the published build unless they are given.`,
		Example: `  dbslm prune --threshold 1e-7
  dbslm prune --cutoffs 0,0,1 --no-publish
  dbslm prune --target-ngrams 1000000 --model harbour
  dbslm prune --target-size 80MB`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			storage, smoothing, pruning, err := e.choose()
			if err != nil {
				return err
			}
			if pruning == nil {
				return usagef("nothing says what to leave out; use --cutoffs, --threshold, --target-ngrams or --target-size")
			}
			defer e.within(a)()
			ctx := cmd.Context()
			return a.with(ctx, false, func(conn *connection) error {
				published, err := ngramv1.NewBuildServiceClient(conn).GetBuild(ctx, &ngramv1.GetBuildRequest{Tenant: a.tenant, Model: model})
				switch {
				case err == nil:
					if !cmd.Flags().Changed("storage") {
						storage = published.Build.Storage
					}
					if !cmd.Flags().Changed("smoothing") {
						smoothing = published.Build.Smoothing
					}
				case errors.KindOf(err) != errors.FailedPrecondition: // no build is published yet
					return err
				}
				b, _, err := a.createBuild(ctx, conn, &ngramv1.CreateBuildRequest{
					Tenant: a.tenant, Model: model, Storage: storage, Smoothing: smoothing, Pruning: pruning, Publish: !noPublish, Trainer: trainerName(),
					KeepRunning: a.server != "", MemoryBytes: uint64(e.memory),
				}, false)
				if err != nil {
					return err
				}
				if err := a.printBuild(b, asJSON); err != nil || asJSON {
					return err
				}
				return a.printPruning(b)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&model, "model", "default", "`name` of the model")
	e.register(flags)
	e.registerMemory(flags)
	flags.BoolVar(&noPublish, "no-publish", false, "derive the build but let the old one serve")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// printPruning says what is left.
func (a *app) printPruning(b *ngramv1.Build) error {
	rows := [][]string{{"ORDER", "STAY", "LEFT OUT"}}
	var stay, left uint64
	for i, n := range b.NgramCounts {
		var pruned uint64
		if i < len(b.PrunedCounts) {
			pruned = b.PrunedCounts[i]
		}
		rows = append(rows, []string{fmt.Sprint(i + 1), count(n), count(pruned)})
		stay, left = stay+n, left+pruned
	}
	rows = append(rows, []string{"all", count(stay), count(left)})
	if err := table(a.out, rows); err != nil {
		return err
	}
	if b.AppliedThreshold > 0 {
		fmt.Fprintf(a.out, "threshold: %.3g nats\n", b.AppliedThreshold)
	}
	return nil
}
