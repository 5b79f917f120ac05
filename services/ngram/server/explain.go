package server

import (
	"context"
	"math"
	"slices"

	"google.golang.org/protobuf/proto"

	"dbslm/pkg/errors"
	"dbslm/pkg/exactmath"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"
	"dbslm/services/ngram/contexthash"
	"dbslm/services/ngram/evidence"
	"dbslm/services/ngram/lookup"
	"dbslm/services/ngram/scoring"
	"dbslm/services/ngram/store"
)

const (
	defaultExplained = 100
	// maxExplainedOrders bounds tokens times orders of one answer, and with it the answer's size.
	maxExplainedOrders = 10_000
	defaultSearchBytes = 16 << 20
	// sameLog10 is how far an answer may be from its rows: a sum of two logarithms in another order.
	sameLog10 = 1e-9
)

// explainer collects the rows behind one answer. A nil explainer explains nothing.
type explainer struct {
	build    opened
	options  *ngramv1.ExplainOptions
	estimate store.Estimate
	limit    int // tokens
	grams    [][]uint32
	known    map[string]bool // grams by their tokens
	summary  *ngramv1.ExplanationSummary
}

// explainer begins an explanation; nil when none is asked for.
func (o opened) explainer(ctx context.Context, asked *ngramv1.ExplainOptions) (*explainer, error) {
	if asked == nil {
		return nil, nil
	}
	estimate, statements, err := o.Estimate(ctx)
	if err != nil {
		return nil, err
	}
	if asked.GetDocuments() && estimate.Counts == store.CountsNone {
		return nil, errors.New(errors.FailedPrecondition, "MODEL_WITHOUT_COUNTS",
			"model %q was imported and has no counts, so none came from a document; explain it without documents", o.Build.Name).
			Field("explain.documents", "must be unset for a model without counts")
	}
	x := &explainer{build: o, options: asked, estimate: estimate, known: map[string]bool{}}
	if x.limit = int(asked.GetMaxTokens()); x.limit == 0 {
		x.limit = defaultExplained
	}
	x.limit = min(x.limit, maxExplainedOrders/o.Build.Order)
	x.summary = &ngramv1.ExplanationSummary{
		BuildId: uint32(o.Build.ID), Smoothing: string(estimate.Smoothing), Formula: evidence.Formula(estimate.Smoothing), Storage: string(estimate.Storage),
		VocabularySize: uint64(estimate.VocabularySize), Counts: countStates[estimate.Counts],
	}
	for _, d := range estimate.Discounts {
		parameters := &ngramv1.OrderParameters{Order: uint32(d.Order)}
		if estimate.Smoothing == ngram.ModifiedKneserNey {
			parameters.Discounts = []float64{d.D1, d.D2, d.D3}
		}
		for _, w := range estimate.Weights {
			if w.Order == d.Order {
				parameters.Weights = append(parameters.Weights, w.Lambda)
			}
		}
		x.summary.Parameters = append(x.summary.Parameters, parameters)
	}
	if asked.GetSql() {
		x.summary.Statements = described(statements)
	}
	return x, nil
}

var countStates = map[store.CountState]ngramv1.CountState{
	store.CountsCurrent: ngramv1.CountState_COUNT_STATE_CURRENT,
	store.CountsChanged: ngramv1.CountState_COUNT_STATE_CHANGED,
	store.CountsNone:    ngramv1.CountState_COUNT_STATE_NONE,
}

// token explains the next token of the answer, which was served with a log10 probability after a context; nil beyond the
// limit.
func (x *explainer) token(ctx context.Context, context []uint32, token uint32, served float64) (*ngramv1.Explanation, error) {
	if x == nil {
		return nil, nil
	}
	x.summary.Tokens++
	if x.summary.GetExplained() == uint64(x.limit) {
		return nil, nil
	}
	x.summary.Explained++
	if int(token) >= x.build.Vocabulary.Len() {
		return &ngramv1.Explanation{Literal: true}, nil
	}
	orders, statements, err := x.build.Evidence(ctx, x.estimate, context, token)
	if err != nil {
		return nil, err
	}
	chain := evidence.Resolve(orders, x.estimate.Params)
	if chain.Matched == 0 || math.Abs(chain.Log10-served) > sameLog10 {
		if err := x.build.Verify(ctx); err != nil {
			return nil, err // its rows were going
		}
		return nil, errors.New(errors.DataLoss, "EXPLANATION_DIFFERS",
			"build %d of model %q gives a token the log10 probability %g, its rows give %g (%s); build the model again", x.build.Build.ID, x.build.Build.Name,
			served, chain.Log10, chain.Path)
	}
	if x.options.GetSql() {
		statements = append(statements, x.build.SumOf(chain, token))
	} else {
		statements = nil
	}
	x.remember(chain, context, token)
	return x.describe(chain, token, statements), nil
}

// remember notes the n-gram that was found, to look for it in the texts.
func (x *explainer) remember(chain evidence.Chain, context []uint32, token uint32) {
	if !x.options.GetDocuments() || token == lookup.Unknown {
		return
	}
	gram := append(slices.Clone(context[len(context)-(chain.Matched-1):]), token)
	var key []byte
	for _, id := range gram {
		key = append(key, byte(id), byte(id>>8), byte(id>>16), byte(id>>24))
	}
	if !x.known[string(key)] {
		x.known[string(key)] = true
		x.grams = append(x.grams, gram)
	}
}

func (x *explainer) describe(chain evidence.Chain, token uint32, statements []store.Statement) *ngramv1.Explanation {
	explanation := &ngramv1.Explanation{
		Token: x.word(token), Log10Probability: chain.Log10, Probability: exactmath.Pow10(chain.Log10), ExactLog10Probability: chain.Exact,
		Path: chain.Path, Statements: described(statements),
	}
	for _, o := range chain.Orders {
		order := &ngramv1.ExplainedOrder{Order: uint32(o.N), Role: roles[o.Role], ContextHash: o.Hash}
		for _, id := range o.Tokens {
			order.Context = append(order.Context, x.word(id))
		}
		if p := o.Probability; p != nil {
			order.Probability = &ngramv1.ProbabilityRow{Code: code(p), Log10: p.Log10, SinceBuild: uint32(p.Since)}
		}
		if b := o.Backoff; b != nil {
			order.Backoff = &ngramv1.BackoffRow{Code: code(b), Log10: b.Log10, SinceBuild: uint32(b.Since)}
		}
		if c := o.Count; c != nil {
			order.Count = &ngramv1.CountRow{Raw: uint64(c.Raw), Adjusted: uint64(c.Adjusted)}
		}
		if c := o.Context; c != nil {
			order.ContextRow = &ngramv1.ContextRow{ParentHash: c.Parent, AdjustedTotal: uint64(c.Total), RawTotal: uint64(c.RawTotal)}
			for _, n := range c.Followers {
				order.ContextRow.Followers = append(order.ContextRow.Followers, uint64(n))
			}
		}
		if e := o.Exact; e != nil {
			order.Discount, order.Own, order.Gamma, order.ExactLog10 = e.Discount, proto.Float64(e.Own), proto.Float64(e.Gamma), proto.Float64(e.Log10)
		}
		explanation.Orders = append(explanation.Orders, order)
	}
	return explanation
}

var roles = map[evidence.Role]ngramv1.ExplainedOrder_Role{
	evidence.Matched:      ngramv1.ExplainedOrder_ROLE_MATCHED,
	evidence.BackedOff:    ngramv1.ExplainedOrder_ROLE_BACKED_OFF,
	evidence.Absent:       ngramv1.ExplainedOrder_ROLE_ABSENT,
	evidence.Interpolated: ngramv1.ExplainedOrder_ROLE_INTERPOLATED,
}

func code(s *evidence.Stored) *uint32 {
	if s.Code == nil {
		return nil
	}
	return proto.Uint32(uint32(*s.Code))
}

func (x *explainer) word(id uint32) *ngramv1.VocabularyRow {
	token := x.build.token(id)
	return &ngramv1.VocabularyRow{Id: token.GetId(), Text: token.GetText(), Raw: token.GetRaw()}
}

func described(statements []store.Statement) []*ngramv1.SqlStatement {
	var out []*ngramv1.SqlStatement
	for _, s := range statements {
		out = append(out, &ngramv1.SqlStatement{Title: s.Title, Statement: s.SQL})
	}
	return out
}

// finish searches the texts, if that was asked for, and returns what the explanations share; nil without an explainer.
func (x *explainer) finish(ctx context.Context) (*ngramv1.ExplanationSummary, error) {
	if x == nil {
		return nil, nil
	}
	if !x.options.GetDocuments() {
		return x.summary, nil
	}
	limit := int64(x.options.GetMaxTextBytes())
	if limit == 0 {
		limit = defaultSearchBytes
	}
	slices.SortStableFunc(x.grams, func(a, b []uint32) int { return len(b) - len(a) })
	search, err := x.build.Sources(ctx, x.build.tokenizer, x.grams, limit)
	if err != nil {
		return nil, err
	}
	s := x.summary
	s.Documents, s.DocumentsWithoutText = uint64(search.Documents), uint64(search.TextGone)
	s.DocumentsSearched, s.BytesSearched = uint64(search.Searched), uint64(search.Bytes)
	for _, found := range search.NGrams {
		sources := &ngramv1.NGramSources{
			Order: uint32(len(found.Tokens)), ContextHash: contexthash.Sum(found.Tokens[:len(found.Tokens)-1]), Count: uint64(found.Count), Documents: uint64(found.Documents),
		}
		for _, id := range found.Tokens {
			sources.Tokens = append(sources.Tokens, x.word(id))
		}
		for _, d := range found.Most {
			sources.Most = append(sources.Most, &ngramv1.DocumentCount{Label: d.Label, Occurrences: uint64(d.Times), Weight: uint64(d.Weight)})
		}
		s.Sources = append(s.Sources, sources)
	}
	return s, nil
}

// follower walks along generated text and knows the context of the next token, as the model sees it.
type follower struct {
	sentence []uint32
	order    int
	seen     func(token uint32) uint32
}

func newFollower(seen func(uint32) uint32, prompt []uint32, order int) *follower {
	f := &follower{[]uint32{lookup.Start}, order, seen}
	for _, token := range prompt {
		f.sentence = append(f.sentence, seen(token))
	}
	return f
}

// next returns the context of the token that comes next, and goes beyond it.
func (f *follower) next(token uint32) []uint32 {
	context := slices.Clone(scoring.ContextAt(f.sentence, len(f.sentence), f.order))
	if f.sentence = append(f.sentence, f.seen(token)); token == lookup.End {
		f.sentence = f.sentence[:1]
	}
	return context
}
