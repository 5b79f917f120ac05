package dbslm_test

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"

	"dbslm/pkg/text"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
)

// weighed is a token of a step.
type weighed struct {
	weight  float64
	matched int
	wanted  bool // by the cache or a bias
}

// recomputed does what docs/decoding.md says, token by token of one segment, for the whole vocabulary: from the rows, the parameters
// of the explanation, and what the conversation said. It shares no code with the decoder but the lists of function words.
type recomputed struct {
	*modelRows
	p       *ngramv1.DecodeParameters
	cut     func(string) []uint32 // token ids of a text
	added   []string              // words that the build does not know
	like    map[uint32]uint32     // what the model sees in place of one
	free    map[uint32]bool       // those that may be drawn
	history [][]uint32            // texts, oldest first
	spoken  map[string]bool       // words of the texts
	cached  map[uint32]float64    // weights
	reply   []uint32              // said so far
	line    []uint32              // since <s>
	open    []string              // marks
	tokens  map[uint32]*weighed   // of the step
}

// recompute begins a segment.
func recompute(m *modelRows, reply *gatewayv1.ExplainResponse, segment *gatewayv1.ExplainedSegment, cut func(string) []string) *recomputed {
	r := &recomputed{modelRows: m, p: segment.Parameters, like: map[uint32]uint32{}, free: map[uint32]bool{}, spoken: map[string]bool{}, cached: map[uint32]float64{}}
	r.cut = func(written string) (ids []uint32) {
		for _, word := range cut(written) {
			ids = append(ids, r.id(word))
		}
		return ids
	}
	for _, word := range segment.Extension {
		r.added = append(r.added, strings.ToLower(word.Text))
		r.like[word.Id] = word.LikeId
	}
	for _, word := range r.p.Extension {
		for _, id := range r.cut(word.Text) {
			r.free[id] = true
		}
	}
	for _, message := range reply.Window.Messages {
		if message.Sender == memoryv1.Sender_SENDER_USER {
			r.history = append(r.history, r.cut(message.Content))
		}
	}
	r.history = append(r.history, r.cut(reply.UserMessage.Content))
	age, decayed := 0, 1.0
	for i, ids := range slices.Backward(r.history) {
		share := 1.0
		if i < len(r.history)-1 {
			share = 0.25
		}
		for _, id := range slices.Backward(ids) {
			if age++; age > 1024 {
				break
			}
			if p := r.unigram(id); p > 0 && p < 0.01 && len(text.ContentWords(r.words[id], "")) > 0 {
				r.cached[id] += decayed * share
			}
			decayed *= 0.9933555062550344
		}
	}
	r.line = []uint32{1}
	return r
}

func (r *recomputed) id(word string) uint32 {
	if id, known := r.ids[word]; known {
		return id
	}
	if at := slices.Index(r.added, word); at >= 0 {
		return r.end + uint32(at)
	}
	return 0
}

func (r *recomputed) unigram(id uint32) float64 {
	log10, known := r.log10["[]"][id]
	if id >= r.end {
		log10, known = r.log10["[]"][0]
	}
	if !known {
		return 0
	}
	p := math.Pow(10, log10+r.backoff["[]"]) // the weight of the empty context normalises the unigrams
	if id == 0 || id >= r.end {
		p /= float64(len(r.added) + 1)
	}
	return p
}

func ends(tokens, with []uint32) bool {
	return len(with) <= len(tokens) && slices.Equal(tokens[len(tokens)-len(with):], with)
}

func begins(tokens, sequence []uint32) int {
	for n := len(sequence) - 1; n > 0; n-- {
		if ends(tokens, sequence[:n]) {
			return n
		}
	}
	return 0
}

func (r *recomputed) longest() (longest int) {
	for _, w := range r.tokens {
		if w.weight > 0 {
			longest = max(longest, w.matched)
		}
	}
	return longest
}

func (r *recomputed) ban(id uint32) {
	if w := r.tokens[id]; w != nil {
		w.weight = 0
	}
}

// base is the first stage.
func (r *recomputed) base() {
	seen := make([]uint32, 0, len(r.line))
	for _, id := range r.line {
		if id >= r.end {
			id = r.like[id] // 0 for <unk>
		}
		seen = append(seen, id)
	}
	context := seen[max(0, len(seen)-r.order+1):]
	r.tokens = map[uint32]*weighed{}
	factor := 1.0
	for ; len(context) > 0; context = context[1:] {
		key := contextKey(context)
		for id, log10 := range r.log10[key] {
			if r.tokens[id] == nil {
				r.tokens[id] = &weighed{weight: factor * math.Pow(10, log10), matched: len(context) + 1}
			}
		}
		factor *= math.Pow(10, r.backoff[key])
	}
	for id := range r.log10["[]"] {
		if r.tokens[id] == nil {
			r.tokens[id] = &weighed{weight: factor * r.unigram(id), matched: 1}
		}
	}
	for i := range r.added {
		id := r.end + uint32(i)
		r.tokens[id] = &weighed{weight: factor * r.unigram(id), matched: 1}
	}
	delete(r.tokens, 1)
}

func (r *recomputed) cache() {
	if r.p.GetCacheWeight() == 0 {
		return
	}
	fits, sum := max(2, r.longest()-1), 0.0
	for id, weight := range r.cached {
		if w := r.tokens[id]; w != nil && w.matched >= fits {
			sum += weight
		}
	}
	if sum == 0 {
		return
	}
	lambda := r.p.GetCacheWeight() * min(1, sum)
	for id, w := range r.tokens {
		w.weight *= 1 - lambda
		if r.cached[id] > 0 && w.matched >= fits {
			w.weight += lambda * r.cached[id] / sum
			w.wanted = true
		}
	}
}

// applied are the biases that have an effect at this step, with the tokens before and in the sequence.
func (r *recomputed) applied(each func(bias *ngramv1.SequenceBias, lead int, sequence []uint32, strength float64)) {
	for _, bias := range r.p.Biases {
		after, sequence := r.cut(bias.After), r.cut(bias.Text)
		if bias.TokenId != nil {
			sequence = []uint32{bias.GetTokenId()}
		}
		if bias.InsteadOf != "" || slices.Contains(append(slices.Clone(after), sequence...), 0) {
			continue
		}
		holds := func(texts ...[]uint32) bool {
			pattern := r.cut(bias.Pattern)
			return slices.ContainsFunc(texts, func(ids []uint32) bool {
				for end := range len(ids) + 1 {
					if ends(ids[:end], pattern) {
						return true
					}
				}
				return false
			})
		}
		if bias.Pattern != "" && !holds(append(slices.Clone(r.history), r.reply)...) {
			continue
		}
		strength := bias.StrengthLog10
		if strength == 0 {
			strength = 2
		}
		each(bias, len(after), append(after, sequence...), strength)
	}
}

func (r *recomputed) continuation() {
	r.applied(func(_ *ngramv1.SequenceBias, lead int, sequence []uint32, strength float64) {
		n := begins(r.line, sequence)
		if strength <= 0 || n == 0 || n < lead {
			return
		}
		share := 1 - math.Pow(10, -strength)
		for _, w := range r.tokens {
			w.weight *= 1 - share
		}
		r.tokens[sequence[n]].weight += share
		r.tokens[sequence[n]].wanted = true
	})
}

func (r *recomputed) bans() {
	r.ban(0)
	if len(r.line) == 1 {
		r.ban(2)
	}
	asked := map[uint32]bool{}
	r.applied(func(_ *ngramv1.SequenceBias, lead int, sequence []uint32, strength float64) {
		if strength > 0 {
			if n := begins(r.line, sequence); n >= lead {
				asked[sequence[n]] = true
			}
			if lead == 0 {
				asked[sequence[0]] = true
			}
		}
	})
	for _, sequence := range r.unsaid() {
		asked[sequence[0]] = true
	}
	for i := range r.added {
		if id := r.end + uint32(i); !r.free[id] && !asked[id] {
			r.ban(id)
		}
	}
	if r.p.GetBalanceMarks() {
		for _, pair := range [][2]string{{"“", "”"}, {"(", ")"}, {"[", "]"}} {
			if len(r.open) == 0 || r.open[len(r.open)-1] != pair[0] {
				r.ban(r.ids[pair[1]])
			}
			if slices.Contains(r.open, pair[0]) {
				r.ban(r.ids[pair[0]])
			}
		}
	}
}

// unsaid are the required sequences that the reply does not hold yet.
func (r *recomputed) unsaid() (sequences [][]uint32) {
	for _, required := range r.p.Required {
		sequence, said := r.cut(required), false
		for end := range len(r.reply) + 1 {
			said = said || ends(r.reply[:end], sequence)
		}
		if !said {
			sequences = append(sequences, sequence)
		}
	}
	return sequences
}

func (r *recomputed) bias() {
	for _, ban := range r.p.Bans {
		if sequence := r.cut(ban); !slices.Contains(sequence, 0) && len(sequence) > 0 && ends(r.line, sequence[:len(sequence)-1]) {
			r.ban(sequence[len(sequence)-1])
		}
	}
	for _, id := range r.p.BanTokens {
		r.ban(id)
	}
	shifts := map[uint32]float64{}
	r.applied(func(_ *ngramv1.SequenceBias, lead int, sequence []uint32, strength float64) {
		last := len(sequence) - 1
		switch {
		case strength > 0 && lead == 0:
			shifts[sequence[0]] += strength
		case strength < 0 && ends(r.line, sequence[:last]):
			shifts[sequence[last]] += strength
		}
	})
	for id, shift := range shifts {
		r.tokens[id].weight *= math.Pow(10, min(max(shift, -100), 100))
		r.tokens[id].wanted = r.tokens[id].wanted || shift > 0
	}
	for _, sequence := range r.unsaid() {
		r.tokens[sequence[0]].weight *= 100
		r.tokens[sequence[0]].wanted = true
	}
}

func (r *recomputed) penalty() {
	said := slices.Concat(r.history...)
	said = append(said[max(0, len(said)-int(r.p.GetPenaltyHistory())):], r.reply...)
	times := map[uint32]int{}
	for _, id := range said {
		if id > 2 {
			times[id]++
		}
	}
	for id, n := range times {
		if w := r.tokens[id]; w != nil && w.weight > 0 {
			shift := -r.p.GetPresencePenalty() - r.p.GetFrequencyPenalty()*float64(n) + (r.p.GetRepetitionPenalty()-1)*math.Log10(min(1, w.weight))
			w.weight *= math.Pow(10, min(max(shift, -100), 100))
		}
	}
	if n := int(r.p.GetNoRepeatNgram()); n > 0 && len(r.reply) >= n {
		for end := n - 1; end < len(r.reply); end++ {
			if id := r.reply[end]; id > 2 && ends(r.reply[:end], r.reply[len(r.reply)-n+1:]) {
				r.ban(id)
			}
		}
	}
}

// probabilities divides by the sum of the weights.
func (r *recomputed) probabilities() map[uint32]float64 {
	total := 0.0
	for _, w := range r.tokens {
		total += w.weight
	}
	p := make(map[uint32]float64, len(r.tokens))
	for id, w := range r.tokens {
		p[id] = w.weight / total
	}
	return p
}

// drawn are the last two stages: with the temperature, and what truncation leaves of that.
func (r *recomputed) drawn() (tempered, drawn map[uint32]float64) {
	var ids []uint32
	for id, w := range r.tokens {
		if w.weight > 0 {
			ids = append(ids, id)
		}
	}
	spelled := func(id uint32) string {
		if id >= r.end {
			return fmt.Sprintf("\xff%09d", id) // words of the extension come last
		}
		return r.words[id]
	}
	sort.Slice(ids, func(i, j int) bool {
		a, b := r.tokens[ids[i]].weight, r.tokens[ids[j]].weight
		if a == b || near(a, b, 1e-12) { // what the decoder has as one value
			return spelled(ids[i]) < spelled(ids[j])
		}
		return a > b
	})
	shares := func(ids []uint32) map[uint32]float64 {
		all, sum := map[uint32]float64{}, 0.0
		for i, id := range ids {
			all[id] = 1
			if t := r.p.GetTemperature(); t > 0 {
				all[id] = math.Pow(r.tokens[id].weight/r.tokens[ids[0]].weight, 1/t)
			} else if i > 0 {
				all[id] = 0
			}
			sum += all[id]
		}
		for id := range all {
			all[id] /= sum
		}
		return all
	}
	tempered = shares(ids)
	kept := ids
	if back := int(r.p.GetMaxBackoff()); back < 255 {
		shortest := r.longest() - back
		kept = slices.DeleteFunc(slices.Clone(ids), func(id uint32) bool { return r.tokens[id].matched < shortest && !r.tokens[id].wanted })
	}
	if k := int(r.p.GetTopK()); k > 0 {
		kept = kept[:min(k, len(kept))]
	}
	if r.p.GetTemperature() == 0 {
		kept = kept[:1]
	}
	left := shares(kept)
	if r.p.GetTypicalP() < 1 {
		entropy := 0.0
		for _, id := range kept {
			entropy -= left[id] * math.Log10(left[id])
		}
		information := func(at int) float64 { return -math.Log10(left[kept[at]]) }
		high := slices.IndexFunc(kept, func(id uint32) bool { return -math.Log10(left[id]) >= entropy })
		if high < 0 { // all are equally likely, but for rounding
			high = len(kept)
		}
		low := high
		for sum := 0.0; sum < r.p.GetTypicalP()-1e-12 && high-low < len(kept); { // those that are kept stand side by side
			if high == len(kept) || low > 0 && entropy-information(low-1) <= information(high)-entropy {
				low--
				sum += left[kept[low]]
			} else {
				sum += left[kept[high]]
				high++
			}
		}
		kept = kept[low:high]
		left = shares(kept)
	}
	n, sum := 0, 0.0
	for ; n < len(kept) && (n == 0 || sum < r.p.GetTopP()-1e-12 && left[kept[n]] >= r.p.GetMinP()*left[kept[0]]*(1-1e-12)); n++ {
		sum += left[kept[n]]
	}
	return tempered, shares(kept[:n])
}

// say adds a token to the reply.
func (r *recomputed) say(id uint32) {
	r.reply = append(r.reply, id)
	if weight, cached := r.cached[id]; cached {
		r.cached[id] = weight / 8
	}
	if id == 2 {
		r.line = []uint32{1}
		return
	}
	r.line = append(r.line, id)
	for opens, closes := range map[string]string{"“": "”", "(": ")", "[": "]"} {
		switch {
		case r.words[id] == opens:
			r.open = append(r.open, opens)
		case r.words[id] == closes && len(r.open) > 0 && r.open[len(r.open)-1] == opens:
			r.open = r.open[:len(r.open)-1]
		}
	}
}

// stages recomputes the stages of the next token: by stage, the probabilities of the whole vocabulary.
func (r *recomputed) stages() (all []map[uint32]float64) {
	for _, stage := range []func(){r.base, r.cache, r.continuation, r.bans, r.bias, r.penalty} {
		stage()
		all = append(all, r.probabilities())
	}
	tempered, drawn := r.drawn()
	return append(all, tempered, drawn)
}

// agrees compares the stated probabilities of all candidates that are shown with those that the rows give.
func (c *stageCheck) agrees(token *ngramv1.GeneratedToken, all []map[uint32]float64) {
	t := c.t
	t.Helper()
	forced := token.Candidates == 1 && len(c.segment.Parameters.Required) > 0
	for stage, name := range c.segment.Stages {
		sum := 0.0
		for _, p := range all[stage] {
			sum += p
		}
		if !near(sum, 1, 1e-9) {
			t.Fatalf("stage %q of %q: the vocabulary has %g together", name, token.Token.Text, sum)
		}
		if forced && name == "drawn" {
			continue // the rest of a required sequence, or one that had to be begun
		}
		tolerance := 1e-9
		if name == "temperature" || name == "drawn" { // shares are whole numbers
			tolerance = 1e-6
		}
		before := all[max(0, stage-1)]
		for _, s := range token.Stages {
			got, want := s.Probabilities[stage], all[stage][s.Token.Id]
			if math.Abs(got-want) > tolerance*max(got, want)+1e-12 {
				t.Fatalf("stage %q of %q, token %d of %q: %q has %g, the rows give %g\nwith %v", name, token.Token.Text, c.at, c.segment.Text, s.Token.Text, got, want, c.segment.Parameters)
			}
			if stage > 0 && math.Abs(want-before[s.Token.Id]) > 1e-9*max(want, before[s.Token.Id]) {
				c.seen["changed by "+name]++
			}
		}
	}
	c.seen["from rows to drawn"]++
	if drawn := all[len(all)-1][token.Token.Id]; !forced && !near(math.Pow(10, token.Log10Drawn), drawn, 1e-6) {
		t.Errorf("%q is drawn with %g, the rows give %g", token.Token.Text, math.Pow(10, token.Log10Drawn), drawn)
	}
}
