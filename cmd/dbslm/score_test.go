package main

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"dbslm/pkg/database/databasetest"
)

// Lines are scored as eval measures them, whatever their number, from files and from standard input.
func TestScore(t *testing.T) {
	eachStore(t, func(t *testing.T, p place) {
		succeed(t, p.on("train", "harbour.txt")...)
		lines := strings.Repeat("The boats are counted.\n\nA zebra counts the boats.\n", 120) // more than one request
		write(t, "lines.txt", lines)
		e := decode[evaluation](t, succeed(t, p.on("eval", "lines.txt", "--json", "--no-store")...))
		sum, tokens, oov, n := 0.0, uint64(0), uint64(0), 0
		for _, line := range strings.Split(strings.TrimSpace(succeed(t, p.on("score", "lines.txt", "--json", "--tokens")...)), "\n") {
			score := decode[lineScore](t, line)
			n++
			sum, tokens, oov = sum+score.Log10, tokens+score.Tokens, oov+score.OOV
			records := 0.0
			for _, sentence := range score.Sentences {
				for _, token := range sentence.Tokens {
					records += token.Log10
				}
			}
			if score.Line != n || score.File != "lines.txt" || math.Abs(records-score.Log10) > 1e-9 {
				t.Fatalf("line %d: %+v", n, score)
			}
		}
		if n != 360 || tokens != e.Tokens || oov != e.OOV || math.Abs(sum-e.Log10) > 1e-9*math.Abs(sum) {
			t.Errorf("%d lines with %d tokens, %d unknown, log10 %v; eval says %+v", n, tokens, oov, sum, e)
		}
		plain := succeed(t, p.on("score", "lines.txt")...)
		if read := invokeReading(t, lines, p.on("score", "-")...); read.code != exitOK || read.out != plain {
			t.Errorf("standard input gives %v", read)
		}
		if got := invokeReading(t, "The boat.\nno \xe9\n", p.on("score")...); got.code != exitUsage || strings.Count(got.out, "\n") != 1 {
			t.Errorf("a bad second line: %+v", got)
		}
		long := "The boat.\n" + strings.Repeat("x ", 1<<20) + "\n"
		if got := invokeReading(t, long, p.on("score")...); got.code != exitUsage || !strings.Contains(got.err, "line 2 is longer than 1 MiB") || strings.Count(got.out, "\n") != 1 {
			t.Errorf("a long second line: %d %.200s %s", got.code, got.out, got.err)
		}
		if got := invokeReading(t, "", p.on("score")...); got.code != exitOK || got.out != "" {
			t.Errorf("nothing to score: %+v", got)
		}
	})
}

// The limit on explanations holds for all lines together, and --sql prints a script that is nothing but statements.
func TestScoreExplained(t *testing.T) {
	eachStore(t, func(t *testing.T, p place) {
		succeed(t, p.on("train", "harbour.txt")...)
		write(t, "lines.txt", strings.Repeat("The boats.\n", 300))
		explained, summary := 0, 0
		for _, line := range strings.Split(strings.TrimSpace(succeed(t, p.on("score", "lines.txt", "--json", "--explain", "--explain-tokens", "7")...)), "\n") {
			if strings.HasPrefix(line, `{"explained"`) {
				summary++
				if got := decode[map[string]map[string]any](t, line)["explained"]; got["explained"] != "7" || got["tokens"].(string) == "7" {
					t.Errorf("the summary is %v", got)
				}
				continue
			}
			for _, sentence := range decode[lineScore](t, line).Sentences {
				for _, token := range sentence.Tokens {
					if token.Explanation != nil {
						explained++
						if !json.Valid(token.Explanation) || !strings.Contains(string(token.Explanation), `"ROLE_MATCHED"`) {
							t.Errorf("the explanation is %s", token.Explanation)
						}
					}
				}
			}
		}
		if explained != 7 || summary != 1 {
			t.Errorf("%d tokens and %d summaries", explained, summary)
		}
		for _, command := range [][]string{{"score", "lines.txt"}, {"predict", "the", "boats"}, {"eval", "lines.txt", "--no-store"}} {
			script := succeed(t, p.on(append(command, "--sql", "--explain-tokens", "2")...)...)
			statements := strings.Split(strings.TrimSpace(script), ";\n")
			if len(statements) < 13 {
				t.Errorf("%v: only %d statements", command, len(statements))
			}
			for _, s := range statements {
				databasetest.ParseMySQL8(t, strings.TrimSuffix(s, ";"))
			}
			if text := succeed(t, p.on(append(command, "--explain", "--documents", "--explain-tokens", "2")...)...); !strings.Contains(text, "modified-kneser-ney") ||
				!strings.Contains(text, "searched") || !strings.Contains(text, "harbour.txt (") {
				t.Errorf("%v --explain --documents printed\n%s", command, text)
			}
		}
	})
}

// What eval stores is listed, shown, compared and deleted.
func TestEvaluations(t *testing.T) {
	eachStore(t, func(t *testing.T, p place) {
		succeed(t, p.on("train", "harbour.txt")...)
		succeed(t, p.on("train", "harbour.txt", "--model", "quay", "--order", "2")...)
		if got := succeed(t, p.on("evaluations")...); !strings.HasPrefix(got, "no evaluation is stored") {
			t.Errorf("before the first: %s", got)
		}
		var made []evaluation
		for _, model := range []string{"default", "quay"} {
			made = append(made, decode[evaluation](t, succeed(t, p.on("eval", "harbour.txt", "--model", model, "--json")...)))
		}
		listed := decode[[]evaluation](t, succeed(t, p.on("evaluations", "list", "--json")...))
		if len(listed) != 2 || listed[0].Evaluation != made[1].Evaluation || listed[1].TextSHA256 != made[0].TextSHA256 || listed[1].Log10 != made[0].Log10 {
			t.Errorf("made %+v\nlisted %+v", made, listed)
		}
		if shown := decode[evaluation](t, succeed(t, p.on("evaluations", "show", made[0].Evaluation, "--json")...)); shown.Log10 != made[0].Log10 {
			t.Errorf("shown %+v", shown)
		}
		compared := decode[[]comparison](t, succeed(t, p.on("evaluations", "compare", made[0].Evaluation, made[1].Evaluation, "--json")...))
		if len(compared) != 2 || !compared[1].SameText || !compared[1].SameTokens || compared[0].RatioIncludingOOV != 1 || compared[1].RatioIncludingOOV <= 1 {
			t.Errorf("compared %+v", compared)
		}
		if got := succeed(t, p.on("evaluations", "compare", made[0].Evaluation, made[1].Evaluation)...); !strings.Contains(got, "perplexity +") {
			t.Errorf("compare printed\n%s", got)
		}
		succeed(t, p.on("evaluations", "delete", made[0].Evaluation)...)
		if listed := decode[[]evaluation](t, succeed(t, p.on("evaluations", "--model", "default", "--json")...)); len(listed) != 0 {
			t.Errorf("deleted, but listed: %+v", listed)
		}
	})
}
