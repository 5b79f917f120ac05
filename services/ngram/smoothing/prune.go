package smoothing

import (
	"math"
	"slices"

	"dbslm/pkg/errors"
	"dbslm/pkg/exactmath"
	"dbslm/services/ngram"
	"dbslm/services/ngram/contexthash"
	"dbslm/services/ngram/quant"
)

// Planner finds out what removing each n-gram would cost, and decides which go. An n-gram h w that goes leaves its share u(w|h) to
// the weight of the shorter context, so that g = gamma(h) becomes g' = g + u(w|h). The cost is the relative entropy between the
// model with it and the model without it, in nats (Stolcke 1998, for interpolation instead of backing off):
//
//	P(h) ( p(w|h) log(p(w|h) / (g' p(w|h'))) - u(w|h) s - m log(g' / g) )
//
// where m is what h leaves to tokens that never followed it, and s what its other followers have in h'; the middle term is what
// they gain, to the first order. P(h) is how often h occurred over all events, not the product of the model's
// probabilities: the lower orders of Kneser-Ney do not estimate it (Chelba and others 2010).
//
// An n-gram with which a longer one begins or ends is worth at least as much as that one, so what stays is closed: the context
// and the shorter form of every n-gram that stays stay too.
//
// A planner reads all counts once, before the estimator does, and keeps about 16 bytes an n-gram and 24 a context.
type Planner struct {
	estimator *Estimator
	pruning   ngram.Pruning
	hash      contexthash.Func
	events    float64 // all of them
	levels    []planLevel
	words     []uint32 // tokens of the contexts of order n, n-1 for each, oldest first
	before    []uint32 // the same of order n-1
	shares    []float64
}

// planLevel is what is known about one order.
type planLevel struct {
	hashes []int64 // of contexts
	starts []uint32
	begins []uint32 // by context: the place of the n-gram that it is, in the level below; nowhere where it is none
	ends   []uint32 // by n-gram: the place of the n-gram without its oldest token, in the level below
	costs  []float32
	tokens []uint32 // as in the estimator's level
}

const nowhere = math.MaxUint32

// gone is the cost of an n-gram that goes whatever it costs.
const gone = -1

// NewPlanner begins with order 1. Params are those of the estimator to come; codebooks are not used.
func NewPlanner(params Params, pruning ngram.Pruning, hash contexthash.Func) *Planner {
	params.Unigram, params.Logprob, params.Backoff, params.Plan = nil, nil, nil, nil
	return &Planner{estimator: NewEstimator(params), pruning: pruning, hash: hash}
}

// Identified is a context that can be spelled out.
type Identified struct {
	Context
	Oldest uint32 // its oldest token; 0 for the empty context
}

// Context takes one context with raw and adjusted counts. Contexts come as they come to Estimator.Context.
func (p *Planner) Context(c Identified) error {
	e := p.estimator
	if err := e.begin(c.Context); err != nil {
		return err
	}
	gamma, err := e.shares(c.Context)
	if err != nil {
		return err
	}
	shares := append(p.shares[:0], e.probabilities...)
	p.shares = shares
	e.result.Tokens = append(e.result.Tokens[:0], c.Tokens...)
	parent, err := e.interpolate(c.Context, gamma)
	if err != nil {
		return err
	}
	e.upper.add(c.Hash, &e.result, e.probabilities, false)
	if len(c.Raw) != len(c.Tokens) {
		return inconsistent(c.Context, "%d of its %d followers have counts", len(c.Raw), len(c.Tokens))
	}
	if c.N > len(p.levels) {
		p.levels = append(p.levels, planLevel{})
		p.before, p.words = p.words, nil
	}
	total := int64(0)
	for _, raw := range c.Raw {
		total += raw
	}
	l := &p.levels[c.N-1]
	l.hashes, l.starts = append(l.hashes, c.Hash), append(l.starts, uint32(len(l.tokens)))
	l.tokens = append(l.tokens, c.Tokens...)
	if c.N == 1 {
		p.events = float64(total)
		return nil
	}
	from := len(p.words)
	p.words = append(p.words, c.Oldest)
	p.words = append(p.words, p.before[parent*(c.N-2):(parent+1)*(c.N-2)]...)
	begin, err := p.begin(c, p.words[from:])
	if err != nil {
		return err
	}
	l.begins = append(l.begins, begin)
	for _, below := range e.parents {
		if c.N == 2 {
			below = max(0, below-1) // the empty context has <unk> in the estimator and not here
		}
		l.ends = append(l.ends, uint32(below))
	}
	p.cost(l, c, gamma, float64(total)/p.events)
	return nil
}

// begin finds the n-gram that a context is: the place of its last token behind the others, one order below.
func (p *Planner) begin(c Identified, words []uint32) (uint32, error) {
	last := words[len(words)-1]
	if last == ngram.SentenceStart {
		return nowhere, nil
	}
	below := &p.levels[c.N-2]
	at, found := slices.BinarySearch(below.hashes, p.hash(words[:len(words)-1]))
	if found {
		end := uint32(len(below.tokens))
		if at+1 < len(below.starts) {
			end = below.starts[at+1]
		}
		var follower int
		if follower, found = slices.BinarySearch(below.tokens[below.starts[at]:end], last); found {
			return below.starts[at] + uint32(follower), nil
		}
	}
	return 0, inconsistent(c.Context, "it is a context but no n-gram")
}

// cost appends the costs of the followers of a context that occurred that often.
func (p *Planner) cost(l *planLevel, c Identified, gamma, often float64) {
	e := p.estimator
	covered := int64(0)
	for _, below := range e.parents {
		covered += int64(quant.Fixed(e.lower.grams[below].probability))
	}
	followers := quant.Float(covered)
	left := float64(gamma * max(0, 1-followers))
	for i, probability := range e.probabilities {
		if c.Raw[i] <= p.pruning.Cutoff(c.N) {
			l.costs = append(l.costs, gone)
			continue
		}
		shorter, share := e.lower.grams[e.parents[i]].probability, p.shares[i]
		after := gamma + share
		entropy := float64(probability*(exactmath.Log(probability)-exactmath.Log(float64(after*shorter)))) - float64(share*(followers-shorter))
		if left > minRest {
			entropy -= float64(left * (exactmath.Log(after) - exactmath.Log(gamma)))
		}
		l.costs = append(l.costs, float32(max(0, float64(often*entropy))))
	}
}

// Plan says which n-grams of a model stay.
type Plan struct {
	Threshold float64 // the relative entropy that was applied, in nats
	Pruned    []int64 // by order: how many n-grams go
	levels    []planLevel
}

// Sizes are the bytes that rows take, for a target.
type Sizes struct{ NGram, Context int64 }

// Plan decides, after the last context. The planner cannot be used again.
func (p *Planner) Plan(sizes Sizes) (*Plan, error) {
	for n := len(p.levels); n > 2; n-- {
		p.levels[n-1].raise(&p.levels[n-2])
	}
	plan := &Plan{Threshold: p.pruning.Threshold, levels: p.levels, Pruned: make([]int64, len(p.levels))}
	if p.pruning.TargetNGrams > 0 || p.pruning.TargetBytes > 0 {
		var err error
		if plan.Threshold, err = p.target(sizes); err != nil {
			return nil, err
		}
	}
	for i, l := range p.levels {
		for _, cost := range l.costs {
			if !plan.worth(cost) {
				plan.Pruned[i]++
			}
		}
	}
	return plan, nil
}

func (p *Plan) worth(cost float32) bool { return cost != gone && float64(cost) >= p.Threshold }

// raise makes the n-grams below worth at least as much as what begins or ends with them.
func (l *planLevel) raise(below *planLevel) {
	for i, begin := range l.begins {
		for j := l.starts[i]; j < l.end(i); j++ {
			cost := l.costs[j]
			below.costs[l.ends[j]] = max(below.costs[l.ends[j]], cost)
			if begin != nowhere {
				below.costs[begin] = max(below.costs[begin], cost)
			}
		}
	}
}

func (l *planLevel) end(context int) uint32 {
	if context+1 < len(l.starts) {
		return l.starts[context+1]
	}
	return uint32(len(l.tokens))
}

// target finds the least threshold that leaves what the target allows.
func (p *Planner) target(sizes Sizes) (float64, error) {
	type item struct {
		cost float32
		size int32
	}
	limit, size := p.pruning.TargetNGrams, Sizes{NGram: 1}
	if p.pruning.TargetBytes > 0 {
		limit, size = p.pruning.TargetBytes, sizes
	}
	unigrams := int64(len(p.levels[0].tokens))
	left := limit - unigrams*size.NGram - size.Context
	if left < 0 {
		return 0, errors.New(errors.InvalidArgument, "PRUNING_TARGET_TOO_SMALL",
			"the %d unigrams of the model always stay and are more than the target allows; ask for at least %d", unigrams, unigrams*size.NGram+size.Context).
			Field("pruning", "target too small")
	}
	var items []item
	for n := 2; n <= len(p.levels); n++ {
		l := &p.levels[n-1]
		for i := range l.starts {
			greatest := float32(gone)
			for _, cost := range l.costs[l.starts[i]:l.end(i)] {
				if greatest = max(greatest, cost); cost != gone {
					items = append(items, item{cost, int32(size.NGram)})
				}
			}
			if greatest != gone && size.Context > 0 {
				items = append(items, item{greatest, int32(size.Context)})
			}
		}
	}
	slices.SortFunc(items, func(a, b item) int {
		switch {
		case a.cost > b.cost:
			return -1
		case a.cost < b.cost:
			return 1
		}
		return 0
	})
	threshold := math.MaxFloat32
	for begin := 0; begin < len(items); {
		end := begin // equal costs go together, so that nothing depends on token ids
		for ; end < len(items) && items[end].cost == items[begin].cost; end++ {
			left -= int64(items[end].size)
		}
		if left < 0 {
			return threshold, nil
		}
		threshold = float64(items[begin].cost)
		begin = end
	}
	return 0, nil
}

// stays returns which followers of a context stay; at is the place of the context among those of its order.
func (p *Plan) stays(at int, c Context) (func(follower int) bool, error) {
	if c.N > len(p.levels) {
		return nil, inconsistent(c, "nothing was planned for its order")
	}
	l := &p.levels[c.N-1]
	if at >= len(l.hashes) || l.hashes[at] != c.Hash || int(l.end(at)-l.starts[at]) != len(c.Tokens) {
		return nil, inconsistent(c, "it is not what the pruning was planned for")
	}
	costs := l.costs[l.starts[at]:l.end(at)]
	return func(follower int) bool { return p.worth(costs[follower]) }, nil
}
