package decoding

import (
	"cmp"
	"slices"

	"dbslm/pkg/exactmath"
)

// The session cache is a mixture, P = lambda*P_cache + (1-lambda)*P_base, that draws a reply towards the content words
// of the conversation. P_cache is a unigram cache with exponential decay, restricted to the words that the model has
// seen after the words at hand, at most one order below the longest context known here: a cached word is made likelier
// where it fits, and a reply is never torn apart to mention one where it does not. A word that the reply has said loses
// its weight; where the words that fit weigh less than 1 together, lambda shrinks with them. The mass stays 1 either way.
const (
	// cacheDecay is exp(-1/150): a word loses 1/e of its weight over 150 tokens.
	cacheDecay = 0.9933555062550344
	// cacheWindow bounds the tokens of the history that count, newest first.
	cacheWindow = 1024
	// cacheCommon is the unigram probability from which on a token is a function word and is not cached.
	cacheCommon = 0.01
	// olderShare is what a word of an older text counts against one of the newest.
	olderShare = 0.25
	// usedShare is what is left of the weight of a word once the reply has said it.
	usedShare = 0.125
)

// CacheStep is the weight of the session cache from a number of tokens in the history on.
type CacheStep struct {
	Tokens int
	Weight float64 // in [0, MaxCacheWeight]
}

// CacheWeight is the weight at a length of the history: that of the longest step not above it, 0 before the first. The steps
// are in ascending order.
func CacheWeight(steps []CacheStep, tokens int) float64 {
	weight := 0.0
	for _, step := range steps {
		if min(tokens, cacheWindow) >= step.Tokens {
			weight = min(max(step.Weight, 0), MaxCacheWeight)
		}
	}
	return weight
}

// SessionCache holds the cached words of one request. The zero value is an empty cache.
type SessionCache struct {
	words  []cachedWord
	lambda float64
}

type cachedWord struct {
	token  uint32
	weight float64 // falls as the reply uses the word
	worth  float64 // what a reply gains by saying the word
}

// NewSessionCache makes the cache from the texts of the history, oldest first. Tokens for which content is false, and
// tokens that are common in the model, are left out. weight is lambda in [0, 0.9].
func NewSessionCache(history [][]uint32, unigram func(uint32) float64, content func(uint32) bool, weight float64) *SessionCache {
	cache := &SessionCache{lambda: weight}
	index := map[uint32]int{}
	decayed, age := 1.0, 0
	for i := len(history) - 1; i >= 0; i-- {
		for j := len(history[i]) - 1; j >= 0 && age < cacheWindow; j-- {
			token := history[i][j]
			if mass := unigram(token); mass > 0 && mass < cacheCommon && content(token) {
				at, seen := index[token]
				if !seen {
					at = len(cache.words)
					index[token] = at
					worth := -exactmath.Log10(mass)
					if i < len(history)-1 {
						worth = float64(worth * olderShare)
					}
					cache.words = append(cache.words, cachedWord{token: token, worth: worth})
				}
				share := decayed
				if i < len(history)-1 {
					share = float64(share * olderShare)
				}
				cache.words[at].weight += share
			}
			decayed = float64(decayed * cacheDecay)
			age++
		}
	}
	slices.SortFunc(cache.words, func(a, b cachedWord) int { return cmp.Compare(a.token, b.token) })
	return cache
}

// Weight is lambda.
func (c *SessionCache) Weight() float64 { return c.lambda }

// used lowers the weight of a word that the reply has just said, so that the reply does not circle around it.
func (c *SessionCache) used(token uint32) {
	if at, found := c.find(token); found {
		c.words[at].weight *= usedShare
	}
}

// relevance is what the tokens say of the cached words, each counted once: the sum of log10(1/p_unigram), much less for
// words that only older texts of the history hold.
func (c *SessionCache) relevance(tokens []uint32) float64 {
	said := make([]bool, len(c.words))
	for _, token := range tokens {
		if at, found := c.find(token); found {
			said[at] = true
		}
	}
	sum := 0.0
	for i, word := range c.words {
		if said[i] {
			sum += word.worth
		}
	}
	return sum
}

// clone returns a cache that can be used up independently.
func (c *SessionCache) clone() *SessionCache {
	if c == nil {
		return &SessionCache{}
	}
	return &SessionCache{words: slices.Clone(c.words), lambda: c.lambda}
}

// without returns a cache in which the tokens are worth nothing.
func (c *SessionCache) without(tokens []uint32) *SessionCache {
	rest := c.clone()
	for _, token := range tokens {
		if at, found := rest.find(token); found {
			rest.words[at].worth = 0
		}
	}
	return rest
}

func (c *SessionCache) find(token uint32) (int, bool) {
	return slices.BinarySearchFunc(c.words, token, func(w cachedWord, t uint32) int { return cmp.Compare(w.token, t) })
}

// Mix replaces the distribution by its mixture with the cache.
func (d *Distribution) Mix(cache *SessionCache) {
	if cache == nil || cache.lambda == 0 {
		return
	}
	fits := max(2, d.longest()-1)
	fitting := 0.0
	for _, word := range cache.words {
		if d.Matched(word.token) >= fits {
			fitting += word.weight
		}
	}
	if fitting == 0 {
		return
	}
	lambda := float64(cache.lambda * min(1, fitting))
	d.scaleAll(1 - lambda)
	for _, word := range cache.words {
		if candidate := d.find(word.token); candidate != nil && candidate.Matched >= fits {
			candidate.Weight += float64(lambda * float64(word.weight/fitting))
			candidate.Wanted = true
		}
	}
}
