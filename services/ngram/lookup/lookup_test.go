package lookup

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestFind(t *testing.T) {
	context, err := NewContext(1, 0, []Follower{{4, 0.5, -0.3}, {9, 0.5, -0.3}, {2, 0.1, -1}, {3, 0.05, -1.3}, {5, 0.05, -1.3}, {8, 0.05, -1.3}})
	if err != nil {
		t.Fatal(err)
	}
	want := map[uint32]float64{4: 0.5, 9: 0.5, 2: 0.1, 3: 0.05, 5: 0.05, 8: 0.05}
	for token := range uint32(12) {
		group, found := context.Find(token)
		if mass, known := want[token]; found != known || found && group.Mass != mass {
			t.Errorf("token %d: %+v %v", token, group, found)
		}
	}
	if _, found := (*Context)(nil).Find(3); found {
		t.Error("a context that is not in the model knows a token")
	}
	var seen []uint32
	context.Each(func(_ Group, tokens []uint32) { seen = append(seen, tokens...) })
	if !slices.Equal(seen, []uint32{4, 9, 2, 3, 5, 8}) {
		t.Errorf("Each visits %v", seen)
	}
}

func TestUnigrams(t *testing.T) {
	empty, err := NewContext(1, 0, []Follower{{2, 0.4, -0.4}, {0, 0.2, -0.7}, {3, 0.2, -0.7}, {4, 0.2, -0.7}})
	if err != nil {
		t.Fatal(err)
	}
	ranks := []uint32{2, 1, 3, 4, 0}
	unigrams, err := NewUnigrams(empty, ranks)
	if err != nil {
		t.Fatal(err)
	}
	if want := []uint32{2, 4, 0, 3}; !slices.Equal(unigrams.Sorted(), want) {
		t.Errorf("order %v, want %v: by probability, then by bytes", unigrams.Sorted(), want)
	}
	if mass := unigrams.Mass(1); mass != 0 {
		t.Errorf("<s> has mass %g", mass)
	}
	if _, known := unigrams.Log10(1); known {
		t.Error("<s> is an event")
	}
	if log10, known := unigrams.Log10(3); !known || log10 != -0.7 {
		t.Errorf("token 3: %g %v", log10, known)
	}
	if unigrams.Mass(99) != 0 {
		t.Error("an id beyond the build has a mass")
	}
	if _, err := NewUnigrams(empty, ranks[:4]); err == nil {
		t.Error("a unigram row beyond the vocabulary was accepted")
	}
}

func TestVocabulary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tokens := rapid.SliceOfDistinct(rapid.SliceOfN(rapid.Byte(), 1, 5), func(b []byte) string { return string(b) }).Draw(t, "tokens")
		var builder VocabularyBuilder
		for _, control := range []string{"<unk>", "<s>", "</s>"} {
			builder.Add([]byte(control), true)
		}
		for _, token := range tokens {
			builder.Add(token, false)
		}
		v := builder.Build()
		for i, token := range tokens {
			id := uint32(i) + Specials
			if v.Text(id) != string(token) {
				t.Fatalf("token %d is %q, want %q", id, v.Text(id), token)
			}
			if got, known := v.ID(token); !known || got != id {
				t.Fatalf("id of %q is %d, %v", token, got, known)
			}
		}
		if _, known := v.ID([]byte("</s>")); known {
			t.Fatal("text was taken for a control token")
		}
		ranks := v.Ranks()
		for a := range uint32(v.Len()) {
			for b := range uint32(v.Len()) {
				if v.Text(a) < v.Text(b) != (ranks[a] < ranks[b]) && v.Text(a) != v.Text(b) {
					t.Fatalf("%q and %q have ranks %d and %d", v.Text(a), v.Text(b), ranks[a], ranks[b])
				}
			}
		}
	})
}
