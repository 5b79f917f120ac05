package concept

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Observation is how a concept did in use.
type Observation struct {
	RequestID    string
	Bot          Bot
	Conversation string // may be empty
	User         string // may be empty
	Concept      string // that spoke, or should have
	Utterance    string
	Right        bool
	Created      time.Time
	LearntBy     string    // who reviewed it; "" for nobody yet
	Learnt       time.Time // zero for not yet
	LearntAs     int64     // whether the example was added (1), removed (-1) or left as it was (0)
}

// Lesson is what observations of one utterance say about one concept.
type Lesson struct {
	Example
	Right, Wrong int
	Change       int // what the examples need: 1 to add it, -1 to remove it, 0 for nothing
}

// Decide says what becomes of the example: it is added when it was right more often than wrong, and removed in the opposite
// case; as often the one as the other says nothing.
func (l *Lesson) Decide(known bool) {
	switch {
	case l.Right > l.Wrong && !known:
		l.Change = 1
	case l.Wrong > l.Right && known:
		l.Change = -1
	default:
		l.Change = 0
	}
}

// Lessons counts observations by concept and utterance, in that order. Right and wrong are counted apart.
func Lessons(seen []Observation) []Lesson {
	byExample := map[Example]*Lesson{}
	for _, o := range seen {
		e := Example{o.Concept, o.Utterance}
		l := byExample[e]
		if l == nil {
			l = &Lesson{Example: e}
			byExample[e] = l
		}
		if o.Right {
			l.Right++
		} else {
			l.Wrong++
		}
	}
	out := make([]Lesson, 0, len(byExample))
	for _, l := range byExample {
		out = append(out, *l)
	}
	slices.SortFunc(out, func(a, b Lesson) int {
		return cmp.Or(strings.Compare(a.Concept, b.Concept), strings.Compare(a.Utterance, b.Utterance))
	})
	return out
}
