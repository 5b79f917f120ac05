package memory

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"dbslm/pkg/text"
	"dbslm/services/memory/folding"
	"dbslm/services/memory/matching"
)

// Several corrections may be about one fact: in two scopes, in other words, or because one calls wrong what another one says is right.
// In a turn one of them stands for the fact. See docs/decisions/0082.

// wrongWords bounds the words of a value that is called wrong; a longer error context is a description.
const wrongWords = 6

// Wrong is the value that the correction calls wrong, as a reply may say it: its error context, unless that is a question, what the
// question was about, or a description. Empty when none is called wrong.
func (c Correction) Wrong() string {
	w := c.ErrorContext
	if len(strings.Fields(w)) > wrongWords || folding.Text(w) == "" || strings.HasSuffix(w, "?") || c.Cue != "" && strings.HasPrefix(w, c.Cue) || c.namesTopic() {
		return ""
	}
	return w
}

// namesTopic reports whether the error context repeats words of the question: two that carry content at least, or all of them.
func (c Correction) namesTopic() bool {
	asked, named := matching.ContentTerms(c.Cue), matching.ContentTerms(c.ErrorContext)
	if len(named) == 0 || len(named) == 1 && len(asked) != 1 {
		return false
	}
	return !slices.ContainsFunc(named, func(term string) bool { return !slices.Contains(asked, term) })
}

// inContext reports whether it is known what the wrong value was said of. If not, the value itself is all that the correction is
// about, wherever it is said.
func (c Correction) inContext() bool {
	return c.Cue != "" || c.Fact.Entity != "" || c.Fact.Attribute != ""
}

// contextKey is what the correction is about: its key without a value that was wrong in a context only.
func (c Correction) contextKey() matching.Key {
	switch {
	case c.Wrong() == "" || !c.inContext():
		return c.Key()
	case c.Fact.Entity == "" && c.Fact.Attribute == "":
		return matching.NewKey(c.Cue, "", "", "")
	}
	return matching.NewKey("", c.Fact.Entity, c.Fact.Attribute, c.Cue)
}

// about is that as a text.
func (c Correction) about() string {
	return cmp.Or(c.Cue, strings.TrimSpace(c.Fact.Entity+" "+c.Fact.Attribute), c.ErrorContext)
}

// Terms are what an index files the correction under, sorted.
func (c Correction) Terms() []string {
	terms := append(c.Key().Terms(), c.contextKey().Terms()...)
	slices.Sort(terms)
	return slices.Compact(terms)
}

// bears reports whether an answer to the text must hold the correction. That the text holds a wrong value does not suffice where
// it is known what the value was wrong of: "What is the weather in Rome?" asks for no capital. It does when the text asks for nothing
// beyond: "Is Rome the capital?"
func (c Correction) bears(t matching.Text, f matching.Frequencies) (matching.Match, bool) {
	said, ok := c.Key().Match(t, f)
	if c.Wrong() == "" || !c.inContext() {
		return said, ok
	}
	if m, ok := c.contextKey().Match(t, f); ok {
		return m, true
	}
	return said, ok && t.AsksOnly(c.ErrorContext, c.Cue, c.Fact.Entity, c.Fact.Attribute)
}

// amending sets the subject of a correction apart from that of the one whose value it calls wrong; a digest of that value follows.
const amending = " => "

// questioned sets the value that is called wrong apart from a digest of the question that it answered.
const questioned = " ? "

// maxSubject bounds a subject that grew by amending, in bytes; a longer one is digested.
const maxSubject = 1024

// digest tells texts apart and says nothing of their words.
func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:8])
}

// Among places a correction that calls a value wrong among formers, the active ones of its own and wider scopes, newest first.
// reply is the reply that said it, empty when none is named. It takes over the subject of one of the same scope that calls the same value
// wrong in the same context, and will supersede it. If instead the value is what one says is right, it amends that one: it is about the
// same question and fact and stands beside it, so that what both call wrong is known. Otherwise it is about its own question.
func (c Correction) Among(formers []Correction, reply string) Correction {
	wrong := folding.Text(c.Wrong())
	if wrong == "" || c.Fact.Entity != "" || c.Fact.Attribute != "" {
		return c
	}
	for _, f := range formers {
		if f.Place.Key() == c.Place.Key() && folding.Text(f.Wrong()) == wrong && f.Fact.Entity == "" && f.Fact.Attribute == "" && sameContext(c, f) {
			c.Subject = f.Subject
			return c
		}
	}
	for _, f := range formers {
		if folding.Text(f.Fact.Value) != wrong || c.Imported() && !f.Imported() {
			continue
		}
		if c.Cue == "" || !f.inContext() || sameContext(c, f) || f.quotedIn(reply) {
			return c.amend(f, wrong)
		}
	}
	if c.Cue != "" {
		asked := matching.ContentTerms(c.Cue)
		slices.Sort(asked)
		c.Subject = strings.TrimSpace(wrong) + questioned + digest(cmp.Or(strings.Join(asked, " "), folding.Text(c.Cue)))
	}
	return c
}

func (c Correction) amend(f Correction, wrong string) Correction {
	c.Subject = f.Subject + amending + digest(wrong)
	if len(c.Subject) > maxSubject {
		c.Subject = text.Truncate(f.Subject, 64) + amending + digest(c.Subject)
	}
	c.Fact.Entity, c.Fact.Attribute = f.Fact.Entity, f.Fact.Attribute
	if f.Cue != "" {
		c.Cue, c.AskedBy, c.AskedIn = f.Cue, f.AskedBy, f.AskedIn
	}
	return c
}

// quotedIn reports whether a reply says the right value only where it says the correction itself: beside the wrong one, or what it is
// of.
func (c Correction) quotedIn(reply string) (quoted bool) {
	for _, sentence := range text.SentenceTexts(reply) {
		said := folding.Text(sentence)
		holds := func(s string) bool { return folding.Contains(said, folding.Text(s)) }
		if !holds(c.Fact.Value) {
			continue
		}
		if quoted = holds(c.ErrorContext) || holds(c.Fact.Entity) && holds(c.Fact.Attribute); !quoted {
			return false
		}
	}
	return quoted
}

// sameContext reports whether one of two corrections bears on what the other one is about, or neither says what it is about.
func sameContext(a, b Correction) bool {
	if !a.inContext() || !b.inContext() {
		return a.inContext() == b.inContext()
	}
	_, ab := a.contextKey().Match(matching.NewText(b.about()), nil)
	_, ba := b.contextKey().Match(matching.NewText(a.about()), nil)
	return ab || ba
}

// sameFact reports whether two corrections are about one fact: of one subject, one amending the other, with one question; or they
// disagree about a value in a context that both share.
func sameFact(a, b Correction) bool {
	if a.Subject != "" && (a.Subject == b.Subject || strings.HasPrefix(a.Subject, b.Subject+amending)) || b.Subject != "" && strings.HasPrefix(b.Subject, a.Subject+amending) {
		return true
	}
	if a.contextKey().SameQuestion(b.contextKey()) {
		return true
	}
	wrongA, wrongB := folding.Text(a.Wrong()), folding.Text(b.Wrong())
	disagree := wrongA != "" && (wrongA == wrongB || wrongA == folding.Text(b.Fact.Value)) || wrongB != "" && wrongB == folding.Text(a.Fact.Value)
	return disagree && (a.inContext() != b.inContext() || sameContext(a, b))
}

// Standing is a correction that stands for a fact in a turn.
type Standing struct {
	CorrectionMatch // the match of the fact; none when nothing of it bears on the text
	// Wrong are the values that it and those that it overrules call wrong, none of them its own right one.
	Wrong []string
}

// fact gathers the corrections of one fact; the first one stands for it.
type fact struct {
	members []Correction
	match   matching.Match
	bears   bool
	recent  bool
}

// Bearing returns those of the candidates that an answer to the text must hold. frequencies are those of each scope, by its key.
func Bearing(candidates []Correction, t matching.Text, frequencies map[string]matching.Frequencies) (bearing []CorrectionMatch) {
	for _, c := range candidates {
		if m, ok := c.bears(t, frequencies[c.Place.Key()]); ok {
			bearing = append(bearing, CorrectionMatch{c, m})
		}
	}
	return bearing
}

// OverrulingKeys are the active keys that corrections would have in these scopes, narrowest first, which overrule some that bear: in a
// narrower scope of the same subject, or amending it. They may share no word with the text.
func OverrulingKeys(bearing []CorrectionMatch, scopes []string) (keys []string) {
	for _, m := range bearing {
		for _, scope := range scopes {
			keys = append(keys, activeKey(scope, m.Subject+amending+digest(folding.Text(m.Fact.Value))))
			if scope == m.Place.Key() {
				break
			}
			keys = append(keys, activeKey(scope, m.Subject))
		}
	}
	return keys
}

// Stand leaves one correction for each fact of those that bear on a text, others that may overrule them, and the recent ones of the
// conversation: of the narrowest scope, recorded here before imported, the newest. What it returns first are the facts of which one
// bears, at most limit: narrowest scope first, those recorded here before imported ones, then by strength; lately are the facts of
// recent, in its order.
func Stand(bearing []CorrectionMatch, others, recent []Correction, limit int) (standing, lately []Standing) {
	var facts []*fact
	matches := map[string]matching.Match{}
	pool := slices.Concat(others, recent)
	for _, m := range bearing {
		matches[m.ID] = m.Match
		pool = append(pool, m.Correction)
	}
	slices.SortFunc(pool, byRank)
	pool = slices.CompactFunc(pool, func(a, b Correction) bool { return a.ID == b.ID })
	of := map[string]*fact{}
	for _, c := range pool {
		i := slices.IndexFunc(facts, func(f *fact) bool {
			return slices.ContainsFunc(f.members, func(m Correction) bool { return sameFact(m, c) })
		})
		if i < 0 {
			i, facts = len(facts), append(facts, &fact{})
		}
		f := facts[i]
		if m, ok := matches[c.ID]; ok && !f.bears {
			f.match, f.bears = m, true
		}
		f.members, of[c.ID] = append(f.members, c), f
	}
	slices.SortStableFunc(facts, func(a, b *fact) int {
		x, y := a.members[0], b.members[0]
		return cmp.Or(cmp.Compare(x.Scope.Rank(), y.Scope.Rank()), cmp.Compare(x.originRank(), y.originRank()), cmp.Compare(b.match.Score, a.match.Score))
	})
	for _, f := range facts {
		if f.bears && len(standing) < limit {
			standing = append(standing, f.standing())
		}
	}
	for _, c := range recent {
		if f := of[c.ID]; !f.recent {
			f.recent = true
			lately = append(lately, f.standing())
		}
	}
	return standing, lately
}

func (f *fact) standing() Standing {
	s := Standing{CorrectionMatch: CorrectionMatch{f.members[0], f.match}}
	said := []string{folding.Text(s.Fact.Value)}
	for _, m := range f.members {
		if wrong := folding.Text(m.Wrong()); wrong != "" && !slices.Contains(said, wrong) {
			said, s.Wrong = append(said, wrong), append(s.Wrong, m.Wrong())
		}
	}
	return s
}

// byRank orders corrections of one fact by what counts: narrowest scope, recorded here, newest.
func byRank(a, b Correction) int {
	return cmp.Or(cmp.Compare(a.Scope.Rank(), b.Scope.Rank()), cmp.Compare(a.originRank(), b.originRank()),
		b.Created.Compare(a.Created), strings.Compare(b.ID, a.ID))
}
