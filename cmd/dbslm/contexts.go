package main

import (
	"fmt"
	"strings"

	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/spf13/cobra"
)

// contextSummary is one context as it is printed.
type contextSummary struct {
	Words     []string `json:"words"`
	Hash      int64    `json:"hash,string"`
	Hotness   float64  `json:"hotness"`
	Share     float64  `json:"share"`
	Followers uint64   `json:"followers"`
	Count     uint64   `json:"count"`
	Cached    bool     `json:"cached"`
}

// contextList is the answer as it is printed.
type contextList struct {
	Contexts []contextSummary `json:"contexts"`
	Cache    struct {
		Entries uint64 `json:"entries"`
		Bytes   uint64 `json:"bytes"`
		Hits    uint64 `json:"hits"`
		Misses  uint64 `json:"misses"`
	} `json:"cache"`
}

func newContexts(a *app) *cobra.Command {
	var model string
	var limit uint32
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "contexts",
		Short: "List the contexts used most",
		Long: `List the contexts that replies used most, with their words, the use of late (halved every week), its
share in all use of the model, how many tokens follow them and how often, and whether the answering process has them in
memory. Use is written at most once a minute, so the newest may be missing.`,
		Example: `  dbslm contexts
  dbslm contexts --model harbour --limit 5 --json
  dbslm contexts --server 127.0.0.1:7400`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit == 0 {
				return usagef("--limit must be at least 1")
			}
			return a.with(cmd.Context(), false, func(conn *connection) error {
				list := contextList{Contexts: []contextSummary{}}
				client := ngramv1.NewInferenceServiceClient(conn)
				for token := ""; uint32(len(list.Contexts)) < limit; {
					page, err := client.ListContexts(cmd.Context(), &ngramv1.ListContextsRequest{
						Tenant: a.tenant, Model: model, PageSize: int32(min(limit-uint32(len(list.Contexts)), 1000)), PageToken: token,
					})
					if err != nil {
						return err
					}
					list.add(page)
					if token = page.NextPageToken; token == "" {
						break
					}
				}
				if asJSON {
					return printJSON(a.out, list)
				}
				return a.printContexts(list)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&model, "model", "default", "`name` of the model")
	flags.Uint32Var(&limit, "limit", 20, "list at most `N` contexts")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (l *contextList) add(page *ngramv1.ListContextsResponse) {
	for _, c := range page.Contexts {
		one := contextSummary{Words: []string{}, Hash: c.ContextHash, Hotness: c.Hotness, Share: c.Share, Followers: c.Followers, Count: c.Count, Cached: c.Cached}
		for _, token := range c.Tokens {
			one.Words = append(one.Words, token.Text)
		}
		l.Contexts = append(l.Contexts, one)
	}
	l.Cache.Entries, l.Cache.Bytes, l.Cache.Hits, l.Cache.Misses = page.Cache.GetEntries(), page.Cache.GetBytes(), page.Cache.GetHits(), page.Cache.GetMisses()
}

func (a *app) printContexts(list contextList) error {
	if len(list.Contexts) == 0 {
		fmt.Fprintln(a.out, "no use of contexts is recorded yet; dbslm chat uses them")
		return nil
	}
	rows := [][]string{{"CONTEXT", "USE", "SHARE", "FOLLOWERS", "COUNT", "IN MEMORY"}}
	for _, c := range list.Contexts {
		words := make([]string, len(c.Words))
		for i, w := range c.Words {
			words[i] = printable(w)
		}
		memory := "no"
		if c.Cached {
			memory = "yes"
		}
		rows = append(rows, []string{strings.Join(words, " "), fmt.Sprintf("%.1f", c.Hotness), fmt.Sprintf("%.1f %%", 100*c.Share), count(c.Followers), count(c.Count), memory})
	}
	if err := table(a.out, rows); err != nil {
		return err
	}
	if asked := list.Cache.Hits + list.Cache.Misses; asked > 0 {
		fmt.Fprintf(a.out, "cache: %s in %s bytes, %.1f %% of %s look-ups from memory\n", plural(list.Cache.Entries, "context", "contexts"), count(list.Cache.Bytes),
			100*float64(list.Cache.Hits)/float64(asked), count(asked))
	}
	return nil
}
