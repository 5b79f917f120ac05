package text

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"dbslm/pkg/errors"
)

func compressed(t testing.TB, kind Compression, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&out)
	if kind == Zstandard {
		z, err := zstd.NewWriter(&out)
		if err != nil {
			t.Fatal(err)
		}
		w = z
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestDecompress(t *testing.T) {
	text := strings.Repeat("The boat is here.\n", 20_000)
	for _, kind := range []Compression{Gzip, Zstandard} {
		whole := compressed(t, kind, text)
		for name, data := range map[string][]byte{"one": whole, "two, one after the other": append(whole[:len(whole):len(whole)], whole...)} {
			r, found, err := Decompress(bytes.NewReader(data))
			if err != nil || found != kind {
				t.Fatalf("%s of %s: %v, %v", name, kind, found, err)
			}
			got, err := io.ReadAll(r)
			if want := strings.Repeat(text, len(data)/len(whole)); err != nil || string(got) != want {
				t.Errorf("%s of %s: %d bytes, %v", name, kind, len(got), err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
		for cut := 5; cut < len(whole); cut += 1 + len(whole)/50 {
			r, _, err := Decompress(bytes.NewReader(whole[:cut]))
			if err == nil {
				_, err = io.ReadAll(r)
				_ = r.Close()
			}
			if errors.KindOf(err) != errors.InvalidArgument || errors.ReasonOf(err) != "COMPRESSION_DAMAGED" {
				t.Errorf("%s cut off at %d: %v", kind, cut, err)
			}
		}
	}
	for _, text := range []string{"", "a", "abc", "\x1f\x8b", text} {
		r, found, err := Decompress(strings.NewReader(text))
		if err != nil || found != Uncompressed {
			t.Fatal(found, err)
		}
		if got, err := io.ReadAll(r); err != nil || string(got) != text {
			t.Errorf("%.20q: %.20q, %v", text, got, err)
		}
	}
}

// FuzzDecompress: no data makes it panic or fail without a reason.
func FuzzDecompress(f *testing.F) {
	f.Add(compressed(f, Gzip, "The boat."))
	f.Add(compressed(f, Zstandard, "The boat."))
	f.Add([]byte("The boat."))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, _, err := Decompress(bytes.NewReader(data))
		if err == nil {
			defer r.Close()
			_, err = io.Copy(io.Discard, io.LimitReader(r, 1<<20))
		}
		if err != nil && errors.KindOf(err) != errors.InvalidArgument {
			t.Error(err)
		}
	})
}
