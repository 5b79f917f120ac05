package decoding

// writer turns chosen tokens into text. It holds back tokens that may be the beginning of a sequence in whose place another
// one is written, as long as they may be.
type writer struct {
	joiner  Joiner
	spell   func(token uint32) string
	steered *steering
	pending []uint32
}

// Replaced tells that the last tokens chosen are not written, but another sequence in their place.
type Replaced struct {
	// Sequence is the index of the sequence that is written instead.
	Sequence int
	// Tokens is how many of the tokens chosen it replaces.
	Tokens int
}

// add takes the next token and returns what can be written now. The sequence that is complete first is replaced, the first
// one of the request among equals.
func (w *writer) add(token uint32) (string, *Replaced) {
	if !w.steered.replaces {
		return w.joiner.Add(w.spell(token)), nil
	}
	w.pending = append(w.pending, token)
	hold := 0
	for i, sequence := range w.steered.sequences {
		if len(sequence.InsteadOf) == 0 || !w.steered.active[i] {
			continue
		}
		if endsWith(w.pending, sequence.InsteadOf) {
			text := w.release(len(sequence.InsteadOf))
			w.pending = w.pending[:0]
			for _, token := range sequence.Tokens {
				text += w.joiner.Add(w.spell(token))
			}
			return text, &Replaced{Sequence: i, Tokens: len(sequence.InsteadOf)}
		}
		hold = max(hold, begun(w.pending, sequence.InsteadOf))
	}
	return w.release(hold), nil
}

// release writes all but the last tokens that are pending.
func (w *writer) release(hold int) string {
	text := ""
	ready := len(w.pending) - hold
	for _, token := range w.pending[:ready] {
		text += w.joiner.Add(w.spell(token))
	}
	w.pending = append(w.pending[:0], w.pending[ready:]...)
	return text
}

func (w *writer) endSentence() string { return w.release(0) + w.joiner.EndSentence() }
