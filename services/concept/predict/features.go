package predict

import (
	"strings"

	"dbslm/pkg/text"

	"github.com/cespare/xxhash/v2"
)

const (
	// maxFeatures bounds the features of one utterance; a longer one is judged by its beginning.
	maxFeatures = 256
	// maxUtterance bounds, in bytes, what is looked at to find them.
	maxUtterance = 64 << 10
)

// Features lists the features of an utterance: its folded words and its pairs of neighbouring words, in order,
// each as often as it occurs. A pair is written with a space, so that no word looks like one.
func Features(utterance string) []string {
	if len(utterance) > maxUtterance {
		utterance = strings.ToValidUTF8(utterance[:maxUtterance], "")
	}
	words := strings.FieldsFunc(text.FoldKey(utterance), func(r rune) bool {
		return r == ' ' || strings.ContainsRune(".,;:!?()[]{}<>\"“”„«»…/\\|", r)
	})
	if len(words) > maxFeatures/2 {
		words = words[:maxFeatures/2]
	}
	var features []string
	for i, w := range words {
		w = strings.Trim(w, "'’‘-–—")
		if w == "" {
			continue
		}
		words[i] = w
		features = append(features, w)
		if i > 0 && words[i-1] != "" {
			features = append(features, words[i-1]+" "+w)
		}
	}
	return features
}

// Hash identifies a feature in tables; the empty string is the context without features.
func Hash(feature string) int64 { return int64(xxhash.Sum64String(feature)) }
