package noticing

import (
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

type noticingCase struct {
	before  Exchange
	message string
	want    Noticed
	none    bool
}

func cases(t *testing.T) (list []noticingCase) {
	t.Helper()
	data, err := os.ReadFile("testdata/cases.tsv")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := append(strings.Split(strings.TrimRight(line, "\n"), "\t"), "", "", "", "")
		list = append(list, noticingCase{
			Exchange{f[0], f[1]}, f[2], Noticed{Right: f[3], Wrong: f[4], Entity: f[5], Attribute: f[6]}, f[3] == "-",
		})
	}
	return list
}

// What is noticed must be right in 95 of 100 cases, and 85 of 100 corrections be noticed.
func TestCases(t *testing.T) {
	noticed, right, missed, corrections := 0, 0, 0, 0
	for _, c := range cases(t) {
		got, ok := Notice(c.message, c.before)
		rule := got.Rule
		got.Rule = ""
		if !c.none {
			corrections++
		}
		switch {
		case ok && !c.none && cmp.Equal(got, c.want):
			noticed, right = noticed+1, right+1
		case ok:
			noticed++
			t.Logf("%q after %q, %q: noticed %+v by %s, want %+v", c.message, c.before.Question, c.before.Reply, got, rule, c.want)
		case !c.none:
			missed++
			t.Logf("%q after %q, %q: nothing noticed", c.message, c.before.Question, c.before.Reply)
		}
	}
	if corrections < 30 || len(cases(t))-corrections < 30 || float64(right) < 0.95*float64(noticed) || float64(right) < 0.85*float64(corrections) {
		t.Errorf("of %d corrections and %d other messages %d were noticed, %d rightly", corrections, len(cases(t))-corrections, noticed, right)
	}
	t.Logf("%d corrections, %d other messages: %d noticed, %d rightly, %d missed", corrections, len(cases(t))-corrections, noticed, right, missed)
}

func TestNothingIsNoticedInOtherText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		said, reply := rapid.String().Draw(t, "said"), rapid.StringN(1, 50, -1).Draw(t, "reply")
		n, ok := Notice(said, Exchange{Reply: reply})
		if ok && (n.Right == "" || len(n.Right) > maxValue || !utf8.ValidString(n.Right)) {
			t.Fatalf("%q noticed %+v", said, n)
		}
	})
}

func FuzzNotice(f *testing.F) {
	f.Add("No, it's Paris, not Lyon.", "What is the capital of France?", "Lyon.")
	f.Fuzz(func(t *testing.T, said, question, reply string) {
		n, ok := Notice(said, Exchange{question, reply})
		if ok && (n.Rule == "" || n.Right == "" || (n.Entity == "") != (n.Attribute == "")) {
			t.Errorf("%q after %q, %q: %+v", said, question, reply, n)
		}
	})
}
