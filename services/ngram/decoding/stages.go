package decoding

import "dbslm/services/ngram/lookup"

// stages are what happens to the distribution of a step before temperature and truncation, in this order. Their mass is 1
// after the first three; what follows changes proportions.
var stages = [...]struct {
	name  string
	apply func(g *Generator, contexts []*lookup.Context)
}{
	{"base", func(g *Generator, contexts []*lookup.Context) { g.dist.Base(contexts) }},
	{"cache", func(g *Generator, _ []*lookup.Context) { g.dist.Mix(g.cache) }},
	{"continuation", func(g *Generator, _ []*lookup.Context) { g.steering.carryOn(g.dist, g.tokens) }},
	{"ban", (*Generator).ban},
	{"bias", func(g *Generator, _ []*lookup.Context) {
		g.steering.bias(g.dist, g.tokens, g.sight())
		g.required.favour(g.dist)
	}},
	{"penalty", func(g *Generator, _ []*lookup.Context) { g.steering.penalise(g.dist) }},
}

// Stages names what Staged.Probabilities are the probabilities after, in order. The last two are those of the distribution
// that the token is drawn from: "temperature" before truncation, "drawn" after.
func Stages() []string {
	names := make([]string, 0, len(stages)+2)
	for _, stage := range stages {
		names = append(names, stage.name)
	}
	return append(names, "temperature", "drawn")
}

// Staged is a token with its probability after every stage of a step.
type Staged struct {
	Token uint32
	// Matched is the length of the n-gram that was found for the token.
	Matched int
	// Probabilities by stage, as Stages names them. The probabilities of all tokens sum to 1 after each.
	Probabilities []float64
	// Kept is true for a token that truncation left.
	Kept bool
}

// ban takes out what is never drawn here.
func (g *Generator) ban(contexts []*lookup.Context) {
	g.dist.Ban(lookup.Unknown)
	g.dist.Ban(lookup.Start)
	if g.chosen == 0 || len(g.tokens) == 1 {
		g.dist.Ban(lookup.End) // no reply and no line is empty
	}
	for i, extension := range g.setup.Extension {
		if token := uint32(g.own() + i); !extension.Free && !g.steering.wants(token, g.tokens) && !g.required.wants(token) {
			g.dist.Ban(token)
		}
	}
	g.balance.apply(g.dist)
	g.copied.apply(g.dist, contexts)
}

// record runs the stages of a step again and looks at the likeliest tokens after each: those that were kept first, then
// those that truncation dropped.
func (g *Generator) record(contexts []*lookup.Context, choice Choice, at int) []Staged {
	whole := g.setup.Params
	whole.TopK, whole.TopP, whole.TypicalP, whole.MinP, whole.MaxBackoff = 0, 1, 1, 0, AllOrders
	var c chooser
	tempered := c.choose(g.dist, whole)
	shares := make(map[uint32]float64, len(tempered.Kept))
	for i, candidate := range tempered.Kept {
		shares[candidate.Token] = tempered.Probability(i)
	}

	var staged []Staged
	var drawn []float64
	listed := map[uint32]bool{}
	list := func(candidate Candidate, share float64, kept bool) {
		if listed[candidate.Token] {
			return
		}
		listed[candidate.Token] = true
		staged = append(staged, Staged{Token: candidate.Token, Matched: candidate.Matched, Kept: kept})
		drawn = append(drawn, share)
	}
	for i, candidate := range choice.Kept {
		if i < g.setup.Stages || i == at {
			list(candidate, choice.Probability(i), true)
		}
	}
	for _, candidate := range tempered.Kept {
		if len(staged) >= g.setup.Stages {
			break
		}
		list(candidate, 0, false)
	}
	for _, stage := range stages {
		stage.apply(g, contexts)
		total := g.dist.Total()
		for i := range staged {
			probability := 0.0
			if total > 0 {
				probability = g.dist.Weight(staged[i].Token) / total
			}
			staged[i].Probabilities = append(staged[i].Probabilities, probability)
		}
	}
	for i := range staged {
		staged[i].Probabilities = append(staged[i].Probabilities, shares[staged[i].Token], drawn[i])
	}
	return staged
}
