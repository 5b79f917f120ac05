package decoding

// seams counts where a reply sews pieces of different sentences together: by how many orders the n-grams that its tokens were
// found by are shorter than the longest there could be. What a request asks to be said stands where the model would not have said
// it, so that neither its words count nor those whose contexts hold them.
type seams struct {
	order  int             // of the model
	asked  map[uint32]bool // tokens of sequences that are preferred or required
	free   int             // tokens to come that do not count
	orders int             // that are missing so far
}

func newSeams(setup Setup) seams {
	s := seams{order: setup.Order}
	ask := func(tokens []uint32) {
		for _, token := range tokens {
			if s.asked == nil {
				s.asked = map[uint32]bool{}
			}
			s.asked[token] = true
		}
	}
	for _, sequence := range setup.Sequences {
		if !sequence.Ban && sequence.Strength > 0 {
			ask(sequence.Tokens)
		}
	}
	for _, sequence := range setup.Required {
		ask(sequence)
	}
	return s
}

// said records a token and by how many orders its n-gram is shorter than the context allows.
func (s *seams) said(token uint32, missing int) {
	switch {
	case s.asked[token]:
		s.free = s.order - 1
	case s.free > 0:
		s.free--
	default:
		s.orders += missing
	}
}
