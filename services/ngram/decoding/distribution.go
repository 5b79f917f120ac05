package decoding

import (
	"math"

	"dbslm/services/ngram/lookup"
	"dbslm/services/ngram/packed"
)

// Candidate is a token with its weight in the distribution of one step.
type Candidate struct {
	Token uint32
	// Matched is the length of the n-gram that gave the token its probability: N for a follower of the longest
	// context, 1 for a token that only the unigrams know here.
	Matched int
	// Weight is the probability of the token as long as only the base and the session cache have been applied, and
	// proportional to the wanted probability after that. At least 0; a banned token has 0.
	Weight float64
	// Wanted marks a token that the cache or a positive bias asks for.
	Wanted bool
}

// Distribution is the distribution of the next token over the whole vocabulary, <unk> included. Tokens about which the
// longer contexts, the cache or a bias say something are explicit; all others are the unigrams times one factor, so
// that a step costs the followers of its contexts and not the vocabulary. The followers of contexts are late: only those
// are explicit that something asks for by name, and a walk reads the others from the contexts as far as it comes.
//
// A Distribution is reused from step to step and is not safe for concurrent use.
type Distribution struct {
	unigrams *lookup.Unigrams
	places   []place // by token id
	marks    uint32  // of walks so far
	owners   []owner // by token id; nil until there is a context that is scanned
	bases    uint32  // so far
	explicit []Candidate
	tail     float64        // factor on the unigram mass of every token that is neither explicit nor late
	late     []late         // longest first
	scales   []float64      // applied to every weight since Base, in their order
	groups   []packed.Group // buffer
	tokens   []uint32       // buffer
	scanned  []uint32       // buffer
	eager    bool           // nothing is late; for tests
	scans    bool           // every context is scanned; for tests
}

// place is what is known of a token.
type place struct {
	slot   uint32 // index into explicit, plus one
	walked uint32 // the mark of the latest walk that read it from a late context
}

// late is a context whose followers are not explicit, but for those that were asked for.
type late struct {
	context *lookup.Context
	matched int
	factor  float64
	scanned bool // the owners tell which tokens it has
}

// owner is the first scanned context that has a token, as a place among the late ones.
type owner struct{ base, late uint32 }

// unsought is the length of the n-gram of a token that was banned before anybody asked where it was found.
const unsought = 0

// scaled is the present weight of a follower of a late context.
func (d *Distribution) scaled(l *late, mass float64) float64 {
	weight := float64(l.factor * mass)
	for _, scale := range d.scales {
		weight = float64(weight * scale)
	}
	return weight
}

// NewDistribution makes room for the steps of one request: eight bytes per token of the vocabulary.
func NewDistribution(unigrams *lookup.Unigrams) *Distribution {
	return &Distribution{unigrams: unigrams, places: make([]place, unigrams.Bound()), tail: 1}
}

// mark returns the mark of a new walk.
func (d *Distribution) mark() uint32 {
	if d.marks++; d.marks == 0 {
		for i := range d.places {
			d.places[i].walked = 0
		}
		d.marks = 1
	}
	return d.marks
}

// Base sets the distribution after the contexts, longest first, none of them empty; nil stands for a context that is
// not in the model. The mass of every token is that of the longest context that knows it, times the backoff weights of
// the longer ones: what Score says, for all tokens at once.
func (d *Distribution) Base(contexts []*lookup.Context) {
	for _, candidate := range d.explicit {
		d.places[candidate.Token].slot = 0
	}
	d.explicit = d.explicit[:0]
	d.late, d.scales = d.late[:0], d.scales[:0]
	d.bases++
	factor := 1.0
	for i, context := range contexts {
		if context == nil {
			continue
		}
		l := late{context: context, matched: len(contexts) - i + 1, factor: factor}
		if d.eager {
			d.addAll(&l)
		} else {
			d.late = append(d.late, l)
		}
		factor = float64(factor * context.Backoff)
	}
	d.tail = factor
}

// addAll makes the followers of a context explicit that no longer context has; those of the longer ones are.
func (d *Distribution) addAll(l *late) {
	walk := l.context.Walk()
	d.groups, d.tokens = walk.Ahead(d.groups[:0], d.tokens[:0], math.MaxInt32)
	at := 0
	for _, group := range d.groups {
		weight := d.scaled(l, walk.Mass(group))
		for ; at < group.End; at++ {
			if token := d.tokens[at]; int(token) < len(d.places) && d.places[token].slot == 0 {
				d.add(Candidate{Token: token, Matched: l.matched, Weight: weight})
			}
		}
	}
}

// lateBefore reports whether one of the first i late contexts has the token.
func (d *Distribution) lateBefore(i int, token uint32) bool {
	for j := range d.late[:i] {
		if d.has(j, token) {
			return true
		}
	}
	return false
}

// has reports whether a late context has the token, which none of those has that were asked before it. A context that
// cannot be searched fast is read once for all tokens.
func (d *Distribution) has(i int, token uint32) bool {
	l := &d.late[i]
	if (l.context.HasIndex() || !l.context.Many()) && !d.scans {
		return l.context.Has(token)
	}
	if int(token) >= len(d.places) {
		return false
	}
	if !l.scanned {
		d.scan(l, i)
	}
	return d.owners[token] == owner{d.bases, uint32(i)}
}

func (d *Distribution) scan(l *late, i int) {
	if d.owners == nil {
		d.owners = make([]owner, len(d.places))
	}
	l.scanned = true
	walk := l.context.Walk()
	d.groups, d.scanned = walk.Ahead(d.groups[:0], d.scanned[:0], math.MaxInt32)
	for _, token := range d.scanned {
		if int(token) < len(d.owners) && d.owners[token].base != d.bases {
			d.owners[token] = owner{d.bases, uint32(i)}
		}
	}
}

// Weight is the weight of the token, 0 for one that is not an event of the build.
func (d *Distribution) Weight(token uint32) float64 {
	if candidate := d.find(token); candidate != nil {
		return candidate.Weight
	}
	return float64(d.tail * d.unigrams.Mass(token))
}

// Matched is the length of the n-gram from which the token has its weight.
func (d *Distribution) Matched(token uint32) int {
	if candidate := d.find(token); candidate != nil {
		return candidate.Matched
	}
	return 1
}

// Scale multiplies the weight of the token.
func (d *Distribution) Scale(token uint32, factor float64) {
	if candidate := d.materialise(token); candidate != nil {
		candidate.Weight = float64(candidate.Weight * factor)
	}
}

// Favour is Scale for a token that is asked for: truncation by order leaves it in.
func (d *Distribution) Favour(token uint32, factor float64) {
	if candidate := d.materialise(token); candidate != nil {
		candidate.Weight = float64(candidate.Weight * factor)
		candidate.Wanted = true
	}
}

// Ban takes the token out of the distribution; the others keep their proportions.
func (d *Distribution) Ban(token uint32) {
	switch {
	case int(token) >= len(d.places):
	case d.places[token].slot != 0:
		d.explicit[d.places[token].slot-1].Weight = 0
	default:
		d.add(Candidate{Token: token, Matched: unsought})
	}
}

// Total is the sum of all weights, in an order that depends on nothing but the build: 1 up to the rounding of the
// stored values for a distribution that was neither banned nor biased.
func (d *Distribution) Total() float64 {
	for i := range d.explicit {
		d.seek(&d.explicit[i])
	}
	for i := range d.late {
		d.addAll(&d.late[i])
	}
	d.late = d.late[:0]
	total := 0.0
	for _, candidate := range d.explicit {
		total += candidate.Weight
	}
	rest := 0.0
	for _, token := range d.unigrams.Sorted() {
		if d.places[token].slot == 0 {
			rest += d.unigrams.Mass(token)
		}
	}
	return total + float64(d.tail*rest)
}

// longest is the length of the longest n-gram that gave a token with a weight.
func (d *Distribution) longest() int {
	longest := 1
	for _, candidate := range d.explicit {
		if candidate.Matched > longest && candidate.Weight > 0 {
			longest = candidate.Matched
		}
	}
	for i := range d.late {
		if d.late[i].matched > longest && d.hasOwn(i) {
			return d.late[i].matched
		}
	}
	return longest
}

// hasOwn reports whether a late context has a follower with a weight that is neither explicit nor in a longer context.
func (d *Distribution) hasOwn(i int) bool {
	walk := d.late[i].context.Walk()
	for {
		d.groups, d.tokens = walk.Ahead(d.groups[:0], d.tokens[:0], 1)
		if len(d.groups) == 0 || d.scaled(&d.late[i], walk.Mass(d.groups[0])) == 0 {
			return false
		}
		for _, token := range d.tokens {
			if int(token) < len(d.places) && d.places[token].slot == 0 && !d.lateBefore(i, token) {
				return true
			}
		}
	}
}

func (d *Distribution) scaleAll(factor float64) {
	for i := range d.explicit {
		d.explicit[i].Weight = float64(d.explicit[i].Weight * factor)
	}
	d.tail = float64(d.tail * factor)
	d.scales = append(d.scales, factor)
}

func (d *Distribution) add(candidate Candidate) {
	d.explicit = append(d.explicit, candidate)
	d.places[candidate.Token].slot = uint32(len(d.explicit))
}

func (d *Distribution) find(token uint32) *Candidate {
	if int(token) >= len(d.places) {
		return nil
	}
	if d.places[token].slot == 0 && !d.findLate(token) {
		return nil
	}
	candidate := &d.explicit[d.places[token].slot-1]
	d.seek(candidate)
	return candidate
}

// findLate makes the token explicit if a late context has it.
func (d *Distribution) findLate(token uint32) bool {
	for i := range d.late {
		if d.has(i, token) {
			l := &d.late[i]
			group, _ := l.context.Find(token)
			d.add(Candidate{Token: token, Matched: l.matched, Weight: d.scaled(l, group.Mass)})
			return true
		}
	}
	return false
}

// seek finds where a token was found that was banned before.
func (d *Distribution) seek(candidate *Candidate) {
	if candidate.Matched != unsought {
		return
	}
	candidate.Matched = 1
	for i := range d.late {
		if d.has(i, candidate.Token) {
			candidate.Matched = d.late[i].matched
			return
		}
	}
}

// materialise makes the token explicit; nil for an id that is not an event of the build.
func (d *Distribution) materialise(token uint32) *Candidate {
	candidate := d.find(token)
	switch {
	case candidate != nil && (candidate.Matched > 1 || d.unigrams.Mass(token) > 0):
		return candidate
	case d.unigrams.Mass(token) == 0:
		return nil
	}
	d.add(Candidate{Token: token, Matched: 1, Weight: d.Weight(token)})
	return &d.explicit[len(d.explicit)-1]
}
