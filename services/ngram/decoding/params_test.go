package decoding

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestValidate(t *testing.T) {
	if violations := DefaultParams().Validate(); len(violations) != 0 {
		t.Errorf("the defaults are refused: %v", violations)
	}
	for _, test := range []struct {
		change func(*Params)
		want   []string
	}{
		{func(p *Params) { p.Temperature = math.NaN() }, []string{"temperature"}},
		{func(p *Params) { p.Temperature = -0.1 }, []string{"temperature"}},
		{func(p *Params) { p.Temperature = math.Inf(1) }, []string{"temperature"}},
		{func(p *Params) { p.TopP = 0 }, []string{"top_p"}},
		{func(p *Params) { p.TopP = math.NaN(); p.MinP = 1.01 }, []string{"top_p", "min_p"}},
		{func(p *Params) { p.TopK = -1 }, []string{"top_k"}},
		{func(p *Params) { p.PresencePenalty, p.FrequencyPenalty = 21, math.Inf(-1) }, []string{"presence_penalty", "frequency_penalty"}},
		{func(p *Params) { p.MaxTokens = 0 }, []string{"max_tokens"}},
		{func(p *Params) { p.MaxTokens, p.MaxSentences, p.NoRepeatNGram = 5000, 257, 65 }, []string{"no_repeat_ngram", "max_tokens", "max_sentences"}},
		{func(p *Params) { p.CacheWeight = 0.91 }, []string{"cache_weight"}},
		{func(p *Params) { p.CacheWeight = math.NaN() }, []string{"cache_weight"}},
		{func(p *Params) { p.Stop = []string{"", "x", strings.Repeat("y", 257)} }, []string{"stop[0]", "stop[2]"}},
		{func(p *Params) { p.Stop = strings.Split(strings.Repeat("a,", 16)+"a", ",") }, []string{"stop"}},
	} {
		params := DefaultParams()
		test.change(&params)
		var got []string
		for _, violation := range params.Validate() {
			got = append(got, violation.Field)
			if violation.Description == "" {
				t.Errorf("no description for %s", violation.Field)
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("fields (-want +got):\n%s", diff)
		}
	}
}
