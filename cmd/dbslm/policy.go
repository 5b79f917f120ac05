package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"
)

// policySummary is a build policy as it is printed.
type policySummary struct {
	AfterDocuments uint32     `json:"after_documents"`
	EverySeconds   uint32     `json:"every_seconds"`
	Storage        string     `json:"storage"`
	KeepBuilds     uint32     `json:"keep_builds"`
	DiskBudget     uint64     `json:"disk_budget_bytes"`
	Gate           *float64   `json:"max_perplexity_increase,omitempty"`
	HeldOut        string     `json:"held_out_sha256,omitempty"`
	HeldOutBytes   uint64     `json:"held_out_bytes,omitempty"`
	LastRun        *time.Time `json:"last_run,omitempty"`
}

func newBuildsPolicy(a *app, f *buildsFlags) *cobra.Command {
	var after, keep uint32
	var every time.Duration
	var budget, gate, storage string
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Show or set when builds are made without being asked for, and which are kept",
		Long: `Show the build policy of a model, or change what the flags say and show the result. A running server makes the
builds that policies ask for, once over all replicas, and publishes them. Limits on kept builds apply with the next
build; the build that serves and the one that served before are never dropped.

The gate compares builds on the held-out text (see: dbslm builds hold-out --help). It refuses to publish a build whose
perplexity is greater than that of the build that serves by more than so many percent.`,
		Example: `  dbslm builds policy
  dbslm builds policy --after 100 --every 24h
  dbslm builds policy --keep 5 --budget 2GiB --gate 2
  dbslm builds policy --after 0 --every 0s --gate off`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			change := func(p *ngramv1.BuildPolicy) (err error) {
				set := cmd.Flags().Changed
				if set("after") {
					p.AfterDocuments = after
				}
				if set("every") {
					if every < 0 || every > 365*24*time.Hour || every%time.Second != 0 {
						return usagef("--every %s is impossible; give whole seconds up to a year, or 0s for never", every)
					}
					p.EverySeconds = uint32(every / time.Second)
				}
				if set("keep") {
					p.KeepBuilds = keep
				}
				if set("budget") {
					if p.DiskBudgetBytes, err = parseSize("budget", budget); err != nil {
						return err
					}
				}
				if set("gate") {
					if p.MaxPerplexityIncrease, err = parseGate(gate); err != nil {
						return err
					}
				}
				if set("storage") {
					p.Storage, err = parseName("storage", storage, storages)
				}
				return err
			}
			changes := false
			for _, name := range []string{"after", "every", "keep", "budget", "gate", "storage"} {
				changes = changes || cmd.Flags().Changed(name)
			}
			return a.with(cmd.Context(), false, func(conn *connection) error {
				client := ngramv1.NewBuildServiceClient(conn)
				get := &ngramv1.GetBuildPolicyRequest{Tenant: a.tenant, Model: f.model}
				have, err := client.GetBuildPolicy(cmd.Context(), get)
				if err != nil {
					return err
				}
				if changes {
					if err := change(have.Policy); err != nil {
						return err
					}
					_, err := client.SetBuildPolicy(cmd.Context(), &ngramv1.SetBuildPolicyRequest{Tenant: a.tenant, Model: f.model, Policy: have.Policy})
					if err != nil {
						return err
					}
					if have, err = client.GetBuildPolicy(cmd.Context(), get); err != nil {
						return err
					}
				}
				return a.printPolicy(have, f)
			})
		},
	}
	flags := cmd.Flags()
	flags.Uint32Var(&after, "after", 0, "build after so many new `documents`; 0 never")
	flags.DurationVar(&every, "every", 0, "build so `long` after the last build, if counts changed, as 24h; 0s never")
	flags.Uint32Var(&keep, "keep", 0, "keep so many of the newest `builds`; 0 all")
	flags.StringVar(&budget, "budget", "0", "drop old builds while derived rows take more than this `size`, as 500MiB or 2GiB; 0 without a limit")
	flags.StringVar(&gate, "gate", "off", "refuse to publish a build worse by more than so many `percent`, or off")
	flags.StringVar(&storage, "storage", "8", "`bits` of a stored probability in builds that the policy makes: 8, 16 or exact")
	return cmd
}

func parseGate(text string) (*float64, error) {
	if text == "off" {
		return nil, nil
	}
	percent, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
	if err != nil || !(percent >= 0 && percent <= 100000) {
		return nil, usagef("--gate %q is no percentage; use 2 for two percent, or off", text)
	}
	return proto.Float64(percent / 100), nil
}

// sizes are the units of a size, the longest names first.
var sizes = []struct {
	unit  string
	bytes uint64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}, {"", 1}}

func parseSize(flag, text string) (uint64, error) {
	for _, s := range sizes {
		digits, ok := strings.CutSuffix(text, s.unit)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(digits), 10, 64)
		if err != nil || n > 1<<62/s.bytes {
			break
		}
		return n * s.bytes, nil
	}
	return 0, usagef("--%s %q is no size; use for example 500MiB or 2GiB", flag, text)
}

// sizeOf writes bytes for people.
func sizeOf(bytes uint64) string {
	switch {
	case bytes >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
	case bytes >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
	case bytes >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(bytes)/(1<<10))
	}
	return fmt.Sprint(bytes, " B")
}

func (a *app) printPolicy(resp *ngramv1.GetBuildPolicyResponse, f *buildsFlags) error {
	p := resp.Policy
	s := policySummary{
		AfterDocuments: p.AfterDocuments, EverySeconds: p.EverySeconds, Storage: nameOf(p.Storage, storages), KeepBuilds: p.KeepBuilds,
		DiskBudget: p.DiskBudgetBytes, Gate: p.MaxPerplexityIncrease, HeldOut: hex.EncodeToString(resp.HeldOutSha256), HeldOutBytes: resp.HeldOutBytes,
	}
	if resp.LastRunTime != nil {
		last := resp.LastRunTime.AsTime()
		s.LastRun = &last
	}
	if f.json {
		return printJSON(a.out, s)
	}
	var when []string
	if s.AfterDocuments > 0 {
		when = append(when, "after "+plural(s.AfterDocuments, "new document", "new documents"))
	}
	if s.EverySeconds > 0 {
		when = append(when, "every "+(time.Duration(s.EverySeconds)*time.Second).String())
	}
	if len(when) == 0 {
		when = append(when, "by hand")
	}
	keep := "all"
	if s.KeepBuilds > 0 {
		keep = "the newest " + count(s.KeepBuilds)
	}
	if s.DiskBudget > 0 {
		keep += ", within " + sizeOf(s.DiskBudget)
	}
	gate := "off"
	if s.Gate != nil {
		gate = fmt.Sprintf("at most %.4g %% more perplexity", *s.Gate*100)
	}
	held := "none"
	if s.HeldOut != "" {
		held = sizeOf(s.HeldOutBytes) + ", SHA-256 " + s.HeldOut
	}
	last := "never"
	if s.LastRun != nil {
		last = s.LastRun.Local().Format(time.DateTime)
	}
	return table(a.out, [][]string{
		{"model", f.model}, {"builds are made", strings.Join(when, " or ")}, {"storage", s.Storage}, {"kept", keep}, {"gate", gate}, {"held out", held}, {"last run", last},
	})
}

func newBuildsHoldOut(a *app, f *buildsFlags) *cobra.Command {
	var none bool
	cmd := &cobra.Command{
		Use:   "hold-out [FILE]",
		Short: "Set the text on which builds are measured",
		Long: `Store a text that the model is not trained on. Every later build is measured on it, with its probabilities as they are
stored and before they were rounded; dbslm builds lists the figures, and the gate of the policy compares them. The text
is UTF-8, at most 4 MiB, and "-" reads standard input. A text that is a document of the model is refused.`,
		Example: `  dbslm builds hold-out heldout.txt
  dbslm builds hold-out --clear`,
		Args: atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			var text []byte
			switch {
			case none == (len(args) == 1):
				return usagef("name the file to hold out, or use --clear; see: dbslm builds hold-out --help")
			case !none:
				var err error
				if text, err = a.readHeldOut(cmd.Context(), args[0]); err != nil {
					return err
				}
			}
			return a.with(cmd.Context(), false, func(conn *connection) error {
				resp, err := ngramv1.NewBuildServiceClient(conn).SetHeldOut(cmd.Context(), &ngramv1.SetHeldOutRequest{Tenant: a.tenant, Model: f.model, Text: text})
				switch {
				case err != nil:
					return err
				case f.json:
					return printJSON(a.out, map[string]any{"model": f.model, "sha256": hex.EncodeToString(resp.Sha256), "sentences": resp.Sentences, "tokens": resp.Tokens})
				case none:
					fmt.Fprintf(a.out, "model %q holds no text out any more\n", f.model)
				default:
					fmt.Fprintf(a.out, "model %q holds out %s, %s; builds are measured on them from the next one on\n", f.model,
						plural(resp.Sentences, "sentence", "sentences"), plural(resp.Tokens, "token", "tokens"))
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&none, "clear", false, "hold no text out any more")
	return cmd
}

const maxHeldOut = 4 << 20

func (a *app) readHeldOut(ctx context.Context, path string) ([]byte, error) {
	in, err := a.openNamed(ctx, path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	text, err := io.ReadAll(io.LimitReader(in, maxHeldOut+1))
	switch {
	case err != nil:
		return nil, usagef("%s cannot be read: %v", path, err)
	case len(text) > maxHeldOut:
		return nil, usagef("%s is longer than 4 MiB; hold out a part of it", path)
	case len(text) == 0:
		return nil, usagef("%s is empty; --clear removes a held-out text", path)
	}
	return text, nil
}
