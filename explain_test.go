package dbslm_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	ngramstore "dbslm/services/ngram/store"
)

// tokensToExplain is how many tokens, drawn at random, are recomputed on each engine, and how many of a reply have rows.
func tokensToExplain() (all int, ofReply uint32) {
	if os.Getenv("DBSLM_REPLAY") == "long" {
		return 1000, 1000
	}
	return 40, 12
}

// explained checks explanations of replies: their parts against the replies, and of tokens drawn at random the rows by plain SQL
// and every stage against what the rows and docs/decoding.md give.
func explained(t *testing.T, target database.Target, s system, replies []*gatewayv1.RespondResponse) {
	t.Helper()
	db := databasetest.Open(t, target, ngramstore.Schema, database.Options{})
	type place struct {
		reply   *gatewayv1.ExplainResponse
		segment *gatewayv1.ExplainedSegment
		at      int
	}
	var places []place
	all, ofReply := tokensToExplain()
	for _, r := range replies {
		resp, err := s.gateway.Explain(t.Context(), &gatewayv1.ExplainRequest{
			MessageId: r.Message.MessageId, Candidates: 50, Rows: &ngramv1.ExplainOptions{MaxTokens: ofReply, Sql: true},
		})
		if err != nil {
			t.Fatal(err)
		}
		checkParts(t, r, resp)
		for _, segment := range resp.Segments {
			for at := range segment.Tokens[:min(len(segment.Tokens), int(ofReply))] {
				places = append(places, place{resp, segment, at})
			}
		}
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(places), func(i, j int) { places[i], places[j] = places[j], places[i] })
	c := stageCheck{t: t, db: db, seen: map[string]int{}}
	models := map[uint32]*modelRows{}
	cut := wordsOf(t, s)
	met := func() bool { // every stage did something
		for _, name := range []string{"cache", "continuation", "ban", "bias", "penalty", "temperature", "drawn"} {
			if c.seen["changed by "+name] == 0 {
				return false
			}
		}
		return true
	}
	for i, p := range places {
		if i >= all && met() {
			break
		}
		c.segment, c.at = p.segment, p.at
		c.token(p.segment.Tokens[p.at])
		build := p.reply.Trace.NgramBuildId
		if models[build] == nil {
			models[build] = readModel(t, db, build)
		}
		r := recompute(models[build], p.reply, p.segment, cut)
		for _, token := range p.segment.Tokens[:p.at] {
			r.say(token.Token.Id)
		}
		c.agrees(p.segment.Tokens[p.at], r.stages())
	}
	if !met() {
		t.Errorf("no token was changed by some stage: %v", c.seen)
	}
	if len(places) < all {
		t.Errorf("only %d tokens were there to be explained", len(places))
	}
	t.Logf("tokens recomputed by SQL and stage by stage: %v", c.seen)
}

// checkParts compares an explanation with the reply.
func checkParts(t *testing.T, r *gatewayv1.RespondResponse, e *gatewayv1.ExplainResponse) {
	t.Helper()
	if !e.Identical || e.NotReplayable != nil || e.Message.Content != r.Message.Content || e.UserMessage.Content != r.UserMessage.Content || e.Window == nil ||
		len(e.Segments) != len(r.Trace.Segments) || len(e.Corrections) != len(r.Trace.Corrections) || len(e.Facts) != len(r.Trace.Facts) {
		t.Fatalf("%q is explained as %v", r.Message.Content, e)
	}
	text := ""
	for i, segment := range e.Segments {
		text += segment.Text
		spoke := r.Trace.Segments[i].Span != nil
		if spoke != (segment.Span != nil) || spoke != (segment.TemplateText != "") || spoke != (len(segment.Tokens) == 0) || len(segment.Tokens) != len(r.Trace.Segments[i].TokenIds) {
			t.Errorf("segment %d of %q: %v", i, r.Message.Content, segment)
		}
		if !spoke && (segment.Abstained == "" || segment.Explained.GetFormula() == "" || segment.Parameters == nil || len(segment.Stages) == 0) {
			t.Errorf("segment %d of %q lacks something: %v", i, r.Message.Content, segment)
		}
	}
	if text != r.Message.Content {
		t.Errorf("the segments say %q, the reply %q", text, r.Message.Content)
	}
	for i, c := range e.Corrections {
		steered := slices.ContainsFunc(r.Trace.Steering, func(v *gatewayv1.VersionedId) bool { return v.Id == c.CorrectionId })
		if c.CorrectionId != r.Trace.Corrections[i].Id || c.Correction.GetFact() == nil || c.Steered != steered {
			t.Errorf("correction %d of %q: %v", i, r.Message.Content, c)
		}
		if c.Applied && !strings.Contains(r.Message.Content, c.Correction.Fact.Value) {
			t.Errorf("%q is said to hold %v", r.Message.Content, c)
		}
	}
	applied := slices.ContainsFunc(e.Corrections, func(c *gatewayv1.ExplainedCorrection) bool { return c.Applied })
	if span := r.Trace.Segments[0].Span; span.GetConcept() == "CorrectionReplay" && !applied {
		t.Errorf("%q acknowledges none of %v", r.Message.Content, e.Corrections)
	}
}

// stageCheck recomputes tokens of level 1.
type stageCheck struct {
	t       *testing.T
	db      *database.DB
	segment *gatewayv1.ExplainedSegment
	at      int            // the token in its segment
	seen    map[string]int // how often something was met
}

func near(a, b, tolerance float64) bool {
	return math.Abs(a-b) <= tolerance*max(math.Abs(a), math.Abs(b))
}

// token checks one token: its rows by SQL, and the first stage of all candidates that are shown.
func (c *stageCheck) token(token *ngramv1.GeneratedToken) {
	t := c.t
	t.Helper()
	c.seen["tokens"]++
	i := slices.IndexFunc(token.Stages, func(s *ngramv1.CandidateStages) bool { return s.Token.Id == token.Token.Id })
	if i < 0 {
		t.Fatalf("%v is not among its candidates", token)
	}
	chosen := token.Stages[i]
	if drawn := chosen.Probabilities[len(chosen.Probabilities)-1]; !chosen.Kept || !near(math.Pow(10, token.Log10Drawn), drawn, 1e-9) {
		t.Errorf("%q is drawn with %g, its last stage is %v", token.Token.Text, math.Pow(10, token.Log10Drawn), chosen)
	}
	if c.rows(token) {
		c.base(token)
	}
}

// rows adds up the rows of a token by SQL; false for a token without rows.
func (c *stageCheck) rows(token *ngramv1.GeneratedToken) bool {
	t, e := c.t, token.Explanation
	t.Helper()
	if e.GetLiteral() {
		c.seen["literal"]++
		return false
	}
	for _, s := range e.GetStatements() {
		if !strings.HasPrefix(s.Title, "log10") {
			continue
		}
		var sum float64
		if err := c.db.QueryRow(t.Context(), strings.TrimSuffix(s.Statement, ";")).Scan(&sum); err != nil || math.Abs(sum-token.Log10Probability) > 1e-12 {
			t.Errorf("%q: SQL adds up to %v, stated %v, error %v:\n%s", token.Token.Text, sum, token.Log10Probability, err, s.Statement)
		}
		c.seen["by SQL"]++
		for _, o := range e.Orders {
			if o.Role == ngramv1.ExplainedOrder_ROLE_MATCHED && o.Order != token.MatchedOrder {
				t.Errorf("%q: matched order %d, its rows say %v", token.Token.Text, token.MatchedOrder, o)
			}
		}
		return true
	}
	t.Errorf("%q has no statement: %v", token.Token.Text, e)
	return false
}

var (
	ofModel = regexp.MustCompile(`WHERE (p\.model_id = \d+)`)
	ofBook  = regexp.MustCompile(`q\.codebook_id = (\d+)`)
	ofBuild = regexp.MustCompile(`p\.since_build <= \d+ AND \(p\.until_build IS NULL OR p\.until_build > \d+\)`)
)

// base recomputes the first stage of all candidates that are shown: the row of each by SQL, the weights of the longer contexts
// from the rows of the explanation. They are all divided by the same sum, which the rounding of stored values keeps from being 1.
func (c *stageCheck) base(token *ngramv1.GeneratedToken) {
	t, e := c.t, token.Explanation
	t.Helper()
	longer := map[uint32]float64{} // by order: the weights of the contexts that were backed off from
	weight := 0.0
	for _, o := range e.Orders { // longest first
		longer[o.Order] = weight
		weight += o.Backoff.GetLog10()
	}
	longer[1] = weight // the empty context has a factor of its own
	query := e.Statements[0].Statement
	books := ofBook.FindAllStringSubmatch(query, -1) // the last one is that of unigrams
	var places []string
	for _, s := range token.Stages {
		places = append(places, fmt.Sprintf("(p.n = %d AND p.context_hash = %d AND p.next_token_id = %d)", s.MatchedOrder, s.ContextHash, s.Token.Id))
	}
	rows, err := c.db.Query(t.Context(), "SELECT p.n, p.next_token_id, COALESCE(p.logprob, q.log10_value) FROM tbl_l1_ng_probs_n p LEFT JOIN tbl_q_to_mass q ON q.codebook_id = CASE p.n WHEN 1 THEN "+
		books[len(books)-1][1]+" ELSE "+books[0][1]+" END AND q.code = p.q_logprob WHERE "+ofModel.FindStringSubmatch(query)[1]+" AND "+ofBuild.FindString(query)+" AND ("+strings.Join(places, " OR ")+")")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	stored := map[uint32]float64{}
	for rows.Next() {
		var n, id uint32
		var log10 float64
		if err := rows.Scan(&n, &id, &log10); err != nil {
			t.Fatal(err)
		}
		stored[id] = log10 + longer[n]
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if log10, ok := stored[token.Token.Id]; !ok || math.Abs(log10-token.Log10Probability) > 1e-12 {
		t.Errorf("%q: rows give %v, stated %v", token.Token.Text, log10, token.Log10Probability)
	}
	first := 0.0
	for _, s := range token.Stages {
		log10, ok := stored[s.Token.Id]
		if !ok {
			continue // of an extension
		}
		sum := math.Pow(10, log10) / s.Probabilities[0]
		if first == 0 {
			first = sum
		}
		if !near(sum, first, 1e-9) || math.Abs(sum-1) > 0.05 {
			t.Errorf("%q as token %d of %q: base %g, rows %g, sums %v and %v", s.Token.Text, c.at, c.segment.Text, s.Probabilities[0], math.Pow(10, log10), sum, first)
		}
		c.seen["base"]++
	}
}

// notExplainable sees what Explain refuses.
func notExplainable(t *testing.T, s system, reply *gatewayv1.RespondResponse) {
	t.Helper()
	for _, bad := range []struct {
		want string
		kind errors.Kind
		req  *gatewayv1.ExplainRequest
	}{
		{"NOT_A_REPLY", errors.InvalidArgument, &gatewayv1.ExplainRequest{MessageId: reply.UserMessage.MessageId}},
		{"MESSAGE_NOT_FOUND", errors.NotFound, &gatewayv1.ExplainRequest{MessageId: "01934567-0000-7000-8000-000000000000"}},
		{"BUILD_NOT_FOUND", errors.NotFound, &gatewayv1.ExplainRequest{MessageId: reply.Message.MessageId, NgramBuildId: 999}},
	} {
		if _, err := s.gateway.Explain(t.Context(), bad.req); errors.ReasonOf(err) != bad.want || errors.KindOf(err) != bad.kind {
			t.Errorf("%v: %v", bad.req, err)
		}
	}
	if _, err := s.gateway.Explain(t.Context(), &gatewayv1.ExplainRequest{MessageId: reply.Message.MessageId, Candidates: 51}); errors.KindOf(err) != errors.InvalidArgument {
		t.Errorf("51 candidates: %v", err)
	}
}
