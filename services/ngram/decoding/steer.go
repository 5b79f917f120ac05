package decoding

import (
	"slices"

	"dbslm/services/ngram/exactmath"
	"dbslm/services/ngram/lookup"
)

// Sequence is a token sequence that is preferred, suppressed or banned.
type Sequence struct {
	// Tokens of the sequence, at least one.
	Tokens []uint32
	// Strength is added to log10 of a token's probability. A positive one helps every token of the sequence once
	// those before it are there; a negative one only hinders the last token, so that the beginning stays free.
	Strength float64
	// Ban forbids the last token altogether.
	Ban bool
}

// maxShift bounds the sum of everything added to the log10 probability of one token, so that weights stay finite.
const maxShift = 100

// steering applies biases, bans and penalties. It knows the reply so far.
type steering struct {
	params    Params
	sequences []Sequence
	reply     []uint32 // ordinary tokens of the reply
	uses      map[uint32]int
	distinct  []uint32 // the keys of uses in the order of their first appearance
	shifts    map[uint32]float64
	touched   []uint32 // the keys of shifts in the order of their first appearance
}

func newSteering(params Params, sequences []Sequence, replySoFar []uint32) *steering {
	s := &steering{params: params, sequences: sequences, uses: map[uint32]int{}, shifts: map[uint32]float64{}}
	for _, token := range replySoFar {
		s.said(token)
	}
	return s
}

// said records a token of the reply.
func (s *steering) said(token uint32) {
	s.reply = append(s.reply, token)
	if token < lookup.Specials {
		return
	}
	if s.uses[token] == 0 {
		s.distinct = append(s.distinct, token)
	}
	s.uses[token]++
}

// apply changes the distribution of the token that follows the context.
func (s *steering) apply(d *Distribution, context []uint32) {
	clear(s.shifts)
	s.touched = s.touched[:0]
	for _, sequence := range s.sequences {
		s.bias(d, sequence, context)
	}
	s.penalise(d)
	for _, token := range s.touched {
		shift := min(max(s.shifts[token], -maxShift), maxShift)
		if shift > 0 {
			d.Favour(token, exactmath.Pow10(shift))
		} else {
			d.Scale(token, exactmath.Pow10(shift))
		}
	}
	s.forbidRepeats(d)
}

func (s *steering) bias(d *Distribution, sequence Sequence, context []uint32) {
	last := len(sequence.Tokens) - 1
	first := last
	if !sequence.Ban && sequence.Strength > 0 {
		first = 0
	}
	for i := first; i <= last; i++ {
		if !endsWith(context, sequence.Tokens[:i]) {
			continue
		}
		if sequence.Ban {
			d.Ban(sequence.Tokens[i])
		} else {
			s.shift(sequence.Tokens[i], sequence.Strength)
		}
	}
}

func (s *steering) penalise(d *Distribution) {
	if s.params.PresencePenalty == 0 && s.params.FrequencyPenalty == 0 {
		return
	}
	for _, token := range s.distinct {
		s.shift(token, -s.params.PresencePenalty-float64(s.params.FrequencyPenalty*float64(s.uses[token])))
	}
}

// forbidRepeats bans every token that would complete an n-gram which the reply holds already. The end of a sentence is
// never banned: a reply may always stop.
func (s *steering) forbidRepeats(d *Distribution) {
	n := s.params.NoRepeatNGram
	if n == 0 || len(s.reply) < n {
		return
	}
	prefix := s.reply[len(s.reply)-(n-1):]
	for end := n - 1; end < len(s.reply); end++ {
		if token := s.reply[end]; token >= lookup.Specials && slices.Equal(s.reply[end-(n-1):end], prefix) {
			d.Ban(token)
		}
	}
}

func (s *steering) shift(token uint32, strength float64) {
	if _, seen := s.shifts[token]; !seen {
		s.touched = append(s.touched, token)
	}
	s.shifts[token] += strength
}

func endsWith(context, suffix []uint32) bool {
	return len(suffix) <= len(context) && slices.Equal(context[len(context)-len(suffix):], suffix)
}
