package packed_test

import (
	"bytes"
	"encoding/hex"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"dbslm/services/ngram/packed"
)

func decode(blob []byte, width packed.Width) ([]packed.Follower, error) {
	var out []packed.Follower
	err := packed.Decode(blob, width, func(code uint64, tokens []uint32) error {
		for _, token := range tokens {
			out = append(out, packed.Follower{Code: code, Token: token})
		}
		return nil
	})
	return out, err
}

// The bytes are stored: these vectors must never change.
func TestVectors(t *testing.T) {
	for _, c := range []struct {
		name      string
		width     packed.Width
		followers []packed.Follower
		blob      string
	}{
		{"empty", packed.Width8, nil, ""},
		{"one", packed.Width8, []packed.Follower{{Code: 200, Token: 7}}, "c80e"},
		{"group", packed.Width8, []packed.Follower{{Code: 255, Token: 2}, {Code: 3, Token: 0}, {Code: 3, Token: 300}}, "ff04" + "030100ab02"},
		{"16 bits", packed.Width16, []packed.Follower{{Code: 65535, Token: 1 << 31}, {Code: 256, Token: 5}}, "ffff8080808010" + "01000a"},
		{"exact", packed.WidthExact, []packed.Follower{{Code: packed.Code(-0.5), Token: 3}}, "401fffffffffffff06"},
	} {
		t.Run(c.name, func(t *testing.T) {
			blob, err := packed.Append(nil, c.width, c.followers)
			if err != nil {
				t.Fatal(err)
			}
			if got := hex.EncodeToString(blob); got != c.blob {
				t.Errorf("blob %s, want %s", got, c.blob)
			}
			back, err := decode(blob, c.width)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.followers, back); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.SampledFrom([]packed.Width{packed.Width8, packed.Width16, packed.WidthExact}).Draw(t, "width")
		greatest := uint64(math.MaxUint64)
		if width < packed.WidthExact {
			greatest = 1<<(8*width) - 1
		}
		ids := rapid.SliceOfNDistinct(rapid.Uint32(), 0, 300, rapid.ID).Draw(t, "ids")
		followers := make([]packed.Follower, len(ids))
		for i, id := range ids {
			followers[i] = packed.Follower{Code: rapid.Uint64Range(0, min(greatest, 1+rapid.Uint64().Draw(t, "spread"))).Draw(t, "code"), Token: id}
		}
		slices.SortFunc(followers, packed.Before)
		blob, err := packed.Append(nil, width, followers)
		if err != nil {
			t.Fatal(err)
		}
		back, err := decode(blob, width)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(back, followers) {
			t.Fatalf("got %v, want %v", back, followers)
		}
	})
}

func TestCodeOrdersAsFloats(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Float64().Draw(t, "a")+0, rapid.Float64().Draw(t, "b")+0
		if (a < b) != (packed.Code(a) < packed.Code(b)) {
			t.Fatalf("%g and %g are not ordered as their codes", a, b)
		}
		if back := packed.Float(packed.Code(a)); back != a {
			t.Fatalf("%g came back as %g", a, back)
		}
	})
	if packed.Code(math.Copysign(0, -1)) != packed.Code(0) {
		t.Error("-0 and 0 have different codes")
	}
}

func TestAppendRefuses(t *testing.T) {
	for name, followers := range map[string][]packed.Follower{
		"ascending codes": {{Code: 1, Token: 1}, {Code: 2, Token: 2}},
		"token twice":     {{Code: 1, Token: 1}, {Code: 1, Token: 1}},
		"tokens descend":  {{Code: 1, Token: 2}, {Code: 1, Token: 1}},
		"wide code":       {{Code: 256, Token: 1}},
	} {
		if _, err := packed.Append(nil, packed.Width8, followers); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := packed.Append(nil, 3, []packed.Follower{{}}); err == nil {
		t.Error("width 3: no error")
	}
}

// Check finds in a damaged blob what Decode finds.
func TestCheckIsDecode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.SampledFrom([]packed.Width{packed.Width8, packed.Width16, packed.WidthExact}).Draw(t, "width")
		code := rapid.Uint64Range(0, 255)
		token := rapid.OneOf(rapid.Uint32Range(0, 300), rapid.Uint32())
		followers := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) packed.Follower {
			return packed.Follower{Code: code.Draw(t, "code"), Token: token.Draw(t, "token")}
		}), 0, 40).Draw(t, "followers")
		slices.SortFunc(followers, packed.Before)
		blob, err := packed.Append(nil, width, slices.Compact(followers))
		if err != nil {
			t.Fatal(err)
		}
		if rapid.Bool().Draw(t, "damaged") && len(blob) > 0 {
			at := rapid.IntRange(0, len(blob)-1).Draw(t, "at")
			blob[at] = rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte{0, 0x7f, 0x80, 0xff})).Draw(t, "byte")
			blob = blob[:rapid.IntRange(0, len(blob)).Draw(t, "length")]
		}
		_, want := decode(blob, width)
		if got := packed.Check(blob, width); (got == nil) != (want == nil) {
			t.Fatalf("%x: Decode says %v, Check %v", blob, want, got)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{0xff, 4, 3, 1, 0, 0xab, 2}, uint8(0))
	f.Add([]byte{0xff, 0xff, 0x80, 0x80, 0x80, 0x80, 0x10}, uint8(1))
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 0xff, 0xff, 0xff, 0xff, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xf}, uint8(2))
	f.Fuzz(func(t *testing.T, blob []byte, kind uint8) {
		width := []packed.Width{packed.Width8, packed.Width16, packed.WidthExact}[kind%3]
		followers, err := decode(blob, width)
		if checked := packed.Check(blob, width); (checked == nil) != (err == nil) {
			t.Fatalf("%x: Decode says %v, Check %v", blob, err, checked)
		}
		if err != nil {
			return
		}
		again, err := packed.Append(nil, width, followers)
		if err != nil {
			t.Fatalf("decoded, but not encodable: %v", err)
		}
		if !bytes.Equal(again, blob) {
			t.Fatalf("%x decodes to the followers of %x", blob, again)
		}
	})
}
