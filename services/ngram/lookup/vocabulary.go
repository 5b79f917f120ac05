package lookup

import (
	"cmp"
	"slices"
	"strings"
)

// Vocabulary is the resident vocabulary of a build: the bytes of every token and their ids. It is read-only after
// Build and safe to share.
type Vocabulary struct {
	texts string
	ends  []uint32
	ids   map[string]uint32
	gaps  map[uint32]struct{} // ids of forgotten words
}

// VocabularyBuilder collects the tokens of a vocabulary in the order of their ids.
type VocabularyBuilder struct {
	texts   strings.Builder
	ends    []uint32
	control []bool
	gaps    map[uint32]struct{}
}

// Add appends the next token. A control token has an id and bytes, but no text is ever taken for it.
func (b *VocabularyBuilder) Add(token []byte, control bool) {
	b.texts.Write(token)
	b.ends = append(b.ends, uint32(b.texts.Len()))
	b.control = append(b.control, control)
}

// Skip leaves out the ids up to id, whose words are forgotten: they have no bytes, and no text is ever taken for them.
func (b *VocabularyBuilder) Skip(id int) {
	for b.Len() < id {
		if b.gaps == nil {
			b.gaps = map[uint32]struct{}{}
		}
		b.gaps[uint32(b.Len())] = struct{}{}
		b.Add(nil, true)
	}
}

// Len is the number of tokens so far, which is the id of the next one.
func (b *VocabularyBuilder) Len() int { return len(b.ends) }

// Build returns the vocabulary; the builder must not be used afterwards.
func (b *VocabularyBuilder) Build() *Vocabulary {
	v := &Vocabulary{texts: b.texts.String(), ends: b.ends, ids: make(map[string]uint32, len(b.ends)), gaps: b.gaps}
	for id := range v.ends {
		if !b.control[id] {
			v.ids[v.Text(uint32(id))] = uint32(id)
		}
	}
	return v
}

// Len is the number of tokens; ids are below it.
func (v *Vocabulary) Len() int { return len(v.ends) }

// Missing says whether the word with that id, which must be below Len, is forgotten.
func (v *Vocabulary) Missing(id uint32) bool {
	_, gone := v.gaps[id]
	return gone
}

// Text is the token with that id, which must be below Len. It may be any bytes.
func (v *Vocabulary) Text(id uint32) string {
	begin := uint32(0)
	if id > 0 {
		begin = v.ends[id-1]
	}
	return v.texts[begin:v.ends[id]]
}

// ID returns the id of the token, and false for one that is not in the vocabulary.
func (v *Vocabulary) ID(token []byte) (uint32, bool) {
	id, known := v.ids[string(token)] // does not allocate
	return id, known
}

// Ranks returns, by token id, the place of the token among all tokens in byte order. Control tokens stand where their
// bytes put them, before an ordinary token of the same bytes.
func (v *Vocabulary) Ranks() []uint32 {
	ids := make([]uint32, v.Len())
	for i := range ids {
		ids[i] = uint32(i)
	}
	slices.SortFunc(ids, func(a, b uint32) int {
		return cmp.Or(strings.Compare(v.Text(a), v.Text(b)), cmp.Compare(a, b))
	})
	ranks := make([]uint32, len(ids))
	for place, id := range ids {
		ranks[id] = uint32(place)
	}
	return ranks
}

// Size is the approximate number of bytes that the vocabulary takes in memory.
func (v *Vocabulary) Size() int {
	const entry = 40 // of the map, its spare room included, and the end
	return len(v.texts) + entry*len(v.ends) + 160
}
