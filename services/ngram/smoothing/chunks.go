package smoothing

import (
	"slices"

	"dbslm/services/ngram/packed"
)

// Chunks cuts the followers of a context into packed blobs, likeliest first; emit gets the number of the chunk, from 0,
// its followers and a blob that is valid until it returns.
func Chunks(r *Result, width packed.Width, scratch *Scratch, emit func(chunk, followers int, blob []byte) error) error {
	list := scratch.list[:0]
	for i, token := range r.Tokens {
		list = append(list, packed.Follower{Code: r.Codes[i], Token: token})
	}
	slices.SortFunc(list, packed.Before)
	scratch.list = list
	for chunk := 0; len(list) > 0; chunk++ {
		size := min(len(list), packed.ChunkSize)
		blob, err := packed.Append(scratch.blob[:0], width, list[:size])
		if err != nil {
			return err
		}
		scratch.blob = blob
		if err := emit(chunk, size, blob); err != nil {
			return err
		}
		list = list[size:]
	}
	return nil
}

// Scratch is memory that Chunks uses again.
type Scratch struct {
	list []packed.Follower
	blob []byte
}
