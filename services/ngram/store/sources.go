package store

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"

	"dbslm/pkg/text"
	"dbslm/services/ngram"
	"dbslm/services/ngram/lookup"
)

// mostSources is how many documents are named for an n-gram.
const mostSources = 20

// NGramSources says where an n-gram occurs.
type NGramSources struct {
	Tokens    []uint32
	Count     int64 // occurrences times weights
	Documents int64
	Most      []Occurrence // those with most occurrences, ties by label
}

// Occurrence is how often an n-gram occurs in a document.
type Occurrence struct {
	Label  string
	Times  int64
	Weight int64
}

// Search is what a search over the kept texts found, and how far it went.
type Search struct {
	NGrams                        []NGramSources
	Documents, TextGone, Searched int64
	Bytes                         int64
}

// afterAny reads documents that are counted, in the order of their labels.
const afterAny = `AND label > ? AND state = 'counted' ORDER BY label LIMIT 200`

// Sources searches the kept texts of the view's model for n-grams, whole documents in the order of their labels, until the
// next one would go beyond maxBytes. There is no index of occurrences: a search reads, unpacks and cuts the text again, at
// the price of counting it.
func (v *View) Sources(ctx context.Context, tokenizer text.Tokenizer, grams [][]uint32, maxBytes int64) (Search, error) {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		return Search{}, err
	}
	defer decoder.Close()
	search := Search{NGrams: make([]NGramSources, len(grams))}
	byLast := map[uint32][]int{} // n-grams by their last token
	for i, gram := range grams {
		search.NGrams[i].Tokens = gram
		last := gram[len(gram)-1]
		byLast[last] = append(byLast[last], i)
	}
	full := false
	for after := ""; ; {
		documents, err := readDocuments(ctx, v.reader.db, v.Build.Model, afterAny, []byte(after))
		if err != nil || len(documents) == 0 {
			return search, err
		}
		for _, d := range documents {
			after = d.Label
			search.Documents++
			switch {
			case !d.TextKept:
				search.TextGone++
				continue
			case full || search.Bytes+d.size > maxBytes:
				full = true
				continue
			}
			reader := &textReader{ctx: ctx, store: New(v.reader.db, Options{}), decoder: decoder, model: v.Build.Model, id: d.ID, size: d.size}
			if err := search.document(v, tokenizer, reader, d.Document, byLast); err != nil {
				if gone, checkErr := v.gone(ctx, d); checkErr == nil && gone {
					search.Documents--
					continue
				}
				return search, err
			}
			search.Searched++
			search.Bytes += d.size
		}
	}
}

// gone says that a document was forgotten or replaced since it was listed.
func (v *View) gone(ctx context.Context, d stored) (bool, error) {
	now, err := readDocuments(ctx, v.reader.db, v.Build.Model, byLabel, []byte(d.Label))
	return len(now) == 0 || now[0].ID != d.ID || !now[0].TextKept, err
}

// document counts the n-grams in one text.
func (s *Search) document(v *View, tokenizer text.Tokenizer, reader *textReader, d ngram.Document, byLast map[uint32][]int) error {
	times := make([]int64, len(s.NGrams))
	var ids []uint32
	err := tokenizer.Sentences(reader, func(sentence text.Sentence) error {
		ids = append(ids[:0], lookup.Start)
		for _, token := range sentence.Tokens {
			id, known := v.Vocabulary.ID(token.Text)
			if !known {
				id = ^uint32(0) // counted after the build: in none of its n-grams
			}
			ids = append(ids, id)
		}
		ids = append(ids, lookup.End)
		for end := 2; end <= len(ids); end++ {
			for _, i := range byLast[ids[end-1]] {
				if gram := s.NGrams[i].Tokens; len(gram) <= end && slices.Equal(ids[end-len(gram):end], gram) {
					times[i]++
				}
			}
		}
		return reader.ctx.Err()
	})
	if err != nil {
		return err
	}
	for i, found := range times {
		if found == 0 {
			continue
		}
		sources := &s.NGrams[i]
		sources.Count += found * d.Weight
		sources.Documents++
		sources.Most = append(sources.Most, Occurrence{d.Label, found, d.Weight})
		if len(sources.Most) > mostSources {
			slices.SortFunc(sources.Most, byTimes)
			sources.Most = sources.Most[:mostSources]
		}
	}
	for i := range s.NGrams {
		slices.SortFunc(s.NGrams[i].Most, byTimes)
	}
	return nil
}

func byTimes(a, b Occurrence) int {
	return cmp.Or(cmp.Compare(b.Times, a.Times), strings.Compare(a.Label, b.Label))
}
