package decoding

import (
	"maps"
	"slices"

	"dbslm/pkg/exactmath"
	"dbslm/services/ngram/lookup"
)

// Sequence is a token sequence that is preferred, suppressed, banned, or said in place of another one.
type Sequence struct {
	// Tokens of the sequence, at least one.
	Tokens []uint32
	// Strength in log10 units. A positive one makes the first token 10^Strength times as likely, and once the beginning
	// of the sequence is there gives the token that continues it the share 1-10^-Strength of the distribution. A
	// negative one only hinders the last token once all before it are there, so that the beginning stays free.
	Strength float64
	// Lead is how many tokens at the beginning of the sequence are not preferred: only after them does the bias begin, and
	// then as in the middle of the sequence. Less than the number of tokens.
	Lead int
	// Ban forbids the last token altogether, once all before it are there.
	Ban bool
	// Pattern must stand somewhere in the reply before the sequence has an effect; empty for always.
	Pattern []uint32
	// InsteadOf, unless empty, is the sequence whose place this one takes in the text: whenever the reply says it, this
	// one is written. The model goes on as if it had said InsteadOf, so everything else stays as it was. Strength, Lead
	// and Ban then mean nothing.
	InsteadOf []uint32
}

// maxShift bounds the sum of everything that biases, and then penalties, add to the log10 probability of one token, so
// that weights stay finite.
const maxShift = 100

// steering applies biases, bans and penalties. It knows the reply so far.
type steering struct {
	params    Params
	sequences []Sequence
	active    []bool   // by sequence: its pattern has been said
	waiting   int      // sequences that are not active
	replaces  bool     // a sequence is written instead of another
	penalises bool     // what was said already has penalties
	reply     []uint32 // ordinary tokens of the reply
	uses      map[uint32]int
	distinct  []uint32 // the keys of uses in the order of their first appearance
	shifts    map[uint32]float64
	touched   []uint32 // the keys of shifts in the order of their first appearance
}

func newSteering(setup Setup) *steering {
	s := &steering{
		params: setup.Params, sequences: setup.Sequences, active: make([]bool, len(setup.Sequences)),
		uses: map[uint32]int{}, shifts: map[uint32]float64{},
	}
	p := setup.Params
	s.penalises = p.PresencePenalty != 0 || p.FrequencyPenalty != 0 || p.RepetitionPenalty != 1
	for i, sequence := range s.sequences {
		s.active[i] = len(sequence.Pattern) == 0
		if !s.active[i] {
			s.waiting++
		}
		s.replaces = s.replaces || len(sequence.InsteadOf) > 0
	}
	for _, token := range setup.PenaltyHistory {
		s.use(token)
	}
	for _, token := range setup.ReplySoFar {
		s.said(token)
	}
	return s
}

// said records a token of the reply.
func (s *steering) said(token uint32) {
	s.reply = append(s.reply, token)
	s.use(token)
	if s.waiting == 0 {
		return
	}
	for i, sequence := range s.sequences {
		if !s.active[i] && endsWith(s.reply, sequence.Pattern) {
			s.active[i] = true
			s.waiting--
		}
	}
}

func (s *steering) use(token uint32) {
	if token < lookup.Specials || !s.penalises {
		return
	}
	if s.uses[token] == 0 {
		s.distinct = append(s.distinct, token)
	}
	s.uses[token]++
}

// carryOn mixes the distribution, whose mass is 1, with the tokens that continue preferred sequences. The mass stays 1.
func (s *steering) carryOn(d *Distribution, context []uint32) {
	for i, sequence := range s.sequences {
		if sequence.Ban || sequence.Strength <= 0 || !s.active[i] || len(sequence.InsteadOf) > 0 {
			continue
		}
		if said := begun(context, sequence.Tokens); said > 0 && said >= sequence.Lead {
			d.prefer(sequence.Tokens[said], 1-exactmath.Pow10(-sequence.Strength))
		}
	}
}

// wants reports whether a preferred sequence asks for the token after the context.
func (s *steering) wants(token uint32, context []uint32) bool {
	for i, sequence := range s.sequences {
		if sequence.Ban || sequence.Strength <= 0 || !s.active[i] || len(sequence.InsteadOf) > 0 {
			continue
		}
		said := begun(context, sequence.Tokens)
		if said >= sequence.Lead && sequence.Tokens[said] == token || sequence.Lead == 0 && sequence.Tokens[0] == token {
			return true
		}
	}
	return false
}

// bias makes first tokens of preferred sequences likelier, last tokens of suppressed ones less likely, and takes banned
// ones out: sight is the context and what a reader sees before it in the sentence.
func (s *steering) bias(d *Distribution, context, sight []uint32) {
	for i, sequence := range s.sequences {
		last := len(sequence.Tokens) - 1
		switch {
		case !s.active[i] || len(sequence.InsteadOf) > 0:
		case sequence.Ban:
			if endsWith(sight, sequence.Tokens[:last]) {
				d.Ban(sequence.Tokens[last])
			}
		case sequence.Strength > 0:
			if sequence.Lead == 0 {
				s.shift(sequence.Tokens[0], sequence.Strength)
			}
		case endsWith(context, sequence.Tokens[:last]):
			s.shift(sequence.Tokens[last], sequence.Strength)
		}
	}
	s.applyShifts(func(token uint32, factor float64) {
		if factor > 1 {
			d.Favour(token, factor)
		} else {
			d.Scale(token, factor)
		}
	})
}

// penalise makes tokens less likely that were said already. The repetition penalty looks at their weights after the
// biases.
func (s *steering) penalise(d *Distribution) {
	p := s.params
	if s.penalises {
		for _, token := range s.distinct {
			shift := -p.PresencePenalty - float64(p.FrequencyPenalty*float64(s.uses[token]))
			if p.RepetitionPenalty != 1 {
				if weight := min(1, d.Weight(token)); weight > 0 {
					shift += float64((p.RepetitionPenalty - 1) * exactmath.Log10(weight))
				}
			}
			s.shift(token, shift)
		}
		s.applyShifts(d.Scale)
	}
	s.forbidRepeats(d)
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

// applyShifts calls apply with the factor of every token that was shifted, and forgets the shifts.
func (s *steering) applyShifts(apply func(token uint32, factor float64)) {
	if len(s.touched) == 0 {
		return
	}
	for _, token := range s.touched {
		apply(token, exactmath.Pow10(min(max(s.shifts[token], -maxShift), maxShift)))
	}
	clear(s.shifts)
	s.touched = s.touched[:0]
}

// begun is the length of the longest beginning of the sequence, not all of it, with which the context ends.
func begun(context, sequence []uint32) int {
	for n := min(len(context), len(sequence)-1); n > 0; n-- {
		if endsWith(context, sequence[:n]) {
			return n
		}
	}
	return 0
}

func endsWith(context, suffix []uint32) bool {
	return len(suffix) <= len(context) && slices.Equal(context[len(context)-len(suffix):], suffix)
}

func (s *steering) clone() *steering {
	c := *s
	c.active, c.reply, c.distinct = slices.Clone(s.active), slices.Clone(s.reply), slices.Clone(s.distinct)
	c.uses, c.shifts, c.touched = maps.Clone(s.uses), map[uint32]float64{}, nil
	return &c
}
