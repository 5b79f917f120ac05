package exchange

import (
	"bytes"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"dbslm/pkg/errors"
)

func golden(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile("../testdata/golden/tiny.arpa")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// rewrite reads an ARPA file and writes it again.
func rewrite(text string) (string, error) {
	r, err := NewARPAReader(strings.NewReader(text))
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	w, err := NewARPAWriter(&out, r.Counts())
	if err != nil {
		return "", err
	}
	left := slices.Clone(r.Counts())
	n := 0
	section := func(to int) error {
		for ; n < to; n++ {
			if err := w.Section(); err != nil {
				return err
			}
		}
		return nil
	}
	for {
		e, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", err
		}
		if err := section(len(e.Words)); err != nil {
			return "", err
		}
		left[n-1]--
		if err := w.Write(e.Words, e.Log10, e.Backoff, e.HasBackoff); err != nil {
			return "", err
		}
	}
	if slices.ContainsFunc(left, func(n int64) bool { return n != 0 }) {
		return "", errors.New(errors.Internal, "LEFT", "the reader ended without all n-grams")
	}
	if err := section(len(left)); err != nil {
		return "", err
	}
	err = w.Close()
	return out.String(), err
}

func TestARPAAgain(t *testing.T) {
	for name, text := range map[string]string{
		"as it is":         golden(t),
		"Windows":          strings.ReplaceAll(golden(t), "\n", "\r\n"),
		"spaces":           strings.ReplaceAll(golden(t), "\t", " "),
		"no blank lines":   strings.ReplaceAll(golden(t), "\n\n", "\n"),
		"byte order mark":  "\xef\xbb\xbf" + golden(t),
		"blank lines":      "\n\n" + strings.ReplaceAll(golden(t), "\n\n", "\n \n\t\n") + "\n\n",
		"no last line end": strings.TrimSuffix(golden(t), "\n"),
		"a preamble":       "This is a CLOSED-vocabulary model\n######\n\n" + golden(t),
	} {
		if got, err := rewrite(text); err != nil || got != golden(t) {
			t.Errorf("%s: %v\n%s", name, err, got)
		}
	}
}

// Logarithms of 0 are written in two ways, and read as one.
func TestARPAZero(t *testing.T) {
	text := "\\data\\\nngram 1=2\nngram 2=1\n\n\\1-grams:\n-99\t<s>\t-99\n-1\ta\t-0.5\n\n\\2-grams:\n-99\t<s> a\n\n\\end\\\n"
	for _, zero := range []string{"-99", "-inf", "-Inf", "-INFINITY"} {
		if got, err := rewrite(strings.ReplaceAll(text, "-99", zero)); err != nil || got != text {
			t.Errorf("%s: %v\n%s", zero, err, got)
		}
	}
	for _, other := range []string{"inf", "+inf", "nan", "-nan", "-1e999"} {
		if _, err := rewrite(strings.Replace(text, "-99", other, 1)); errors.KindOf(err) != errors.InvalidArgument {
			t.Errorf("%s: error %v", other, err)
		}
	}
}

// FuzzARPA: whatever is read either is refused with a place, or comes out the same when it is written and read again.
func FuzzARPA(f *testing.F) {
	f.Add(golden(f))
	f.Add(golden(f)[:500])
	f.Add("\\data\\\nngram 1=1\n\n\\1-grams:\n-1\ta\n\n\\end\\\n")
	f.Add("\\data\\\nngram 1=1\nngram 2=0\n\n\\1-grams:\n-1e-300\ta\t+2\n\\2-grams:\n\\end\\")
	f.Add("\\data\\\nngram 1=99999999999999999999\n")
	f.Add("\\data\\\nngram 1=2\n\\1-grams:\n-nan a\n-0x1p-2 b\n\\end\\")
	f.Fuzz(func(t *testing.T, text string) {
		once, err := rewrite(text)
		if err != nil {
			if errors.KindOf(err) != errors.InvalidArgument || !strings.HasPrefix(errors.Public(err), "line ") {
				t.Fatalf("refused without a place: %v", err)
			}
			return
		}
		if twice, err := rewrite(once); err != nil || once != twice {
			t.Fatalf("again: %v\n%s\nonce:\n%s", err, twice, once)
		}
	})
}

// FuzzCounts is FuzzARPA for tables of counts.
func FuzzCounts(f *testing.F) {
	f.Add("a\t1\na b\t2\n")
	f.Add("\n \na  b\t2147483647\r\n")
	f.Add("a\tb\t3")
	f.Add("\t0")
	again := func(text string) (string, error) {
		r := NewCountsReader(strings.NewReader(text))
		var out bytes.Buffer
		w := NewCountsWriter(&out)
		for {
			g, err := r.Next()
			if err == io.EOF {
				err = w.Close()
				return out.String(), err
			}
			if err != nil {
				return "", err
			}
			if err := w.Write(g.Words, g.Count); err != nil {
				return "", err
			}
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		once, err := again(text)
		if err != nil {
			if errors.KindOf(err) != errors.InvalidArgument || !strings.HasPrefix(errors.Public(err), "line ") {
				t.Fatalf("refused without a place: %v", err)
			}
			return
		}
		if twice, err := again(once); err != nil || once != twice {
			t.Fatalf("again: %v\n%q\nonce:\n%q", err, twice, once)
		}
	})
}

func TestUnwritableWords(t *testing.T) {
	for _, word := range []string{"", "a b", "a\tb", "a\nb", "a\x00"} {
		if err := NewCountsWriter(io.Discard).Write([][]byte{[]byte(word)}, 1); errors.KindOf(err) != errors.FailedPrecondition {
			t.Errorf("%q: %v", word, err)
		}
	}
}
