package main

import (
	"sort"
	"strings"

	ngramv1 "dbslm/proto/dbslm/ngram/v1"
)

// The names of enumerations on the command line.
var (
	tokenizers = map[string]ngramv1.TokenizerKind{
		"":           ngramv1.TokenizerKind_TOKENIZER_KIND_UNSPECIFIED,
		"words":      ngramv1.TokenizerKind_TOKENIZER_KIND_WORDS,
		"whitespace": ngramv1.TokenizerKind_TOKENIZER_KIND_WHITESPACE,
		"bytes":      ngramv1.TokenizerKind_TOKENIZER_KIND_BYTES,
	}
	normalizations = map[string]ngramv1.Normalization{
		"":     ngramv1.Normalization_NORMALIZATION_UNSPECIFIED,
		"nfc":  ngramv1.Normalization_NORMALIZATION_NFC,
		"nfkc": ngramv1.Normalization_NORMALIZATION_NFKC,
		"none": ngramv1.Normalization_NORMALIZATION_NONE,
	}
	unkPolicies = map[string]ngramv1.UnkPolicy{
		"":         ngramv1.UnkPolicy_UNK_POLICY_UNSPECIFIED,
		"reserved": ngramv1.UnkPolicy_UNK_POLICY_RESERVED,
		"literal":  ngramv1.UnkPolicy_UNK_POLICY_LITERAL,
	}
	storages = map[string]ngramv1.Storage{
		"":      ngramv1.Storage_STORAGE_UNSPECIFIED,
		"8":     ngramv1.Storage_STORAGE_8,
		"16":    ngramv1.Storage_STORAGE_16,
		"exact": ngramv1.Storage_STORAGE_EXACT,
	}
	smoothings = map[string]ngramv1.Smoothing{
		"":                    ngramv1.Smoothing_SMOOTHING_UNSPECIFIED,
		"modified-kneser-ney": ngramv1.Smoothing_SMOOTHING_MODIFIED_KNESER_NEY,
		"jelinek-mercer":      ngramv1.Smoothing_SMOOTHING_JELINEK_MERCER,
		"witten-bell":         ngramv1.Smoothing_SMOOTHING_WITTEN_BELL,
	}
)

// parseName looks a name up and lists the known ones when it is unknown.
func parseName[E any](flag, name string, known map[string]E) (E, error) {
	if e, ok := known[strings.ToLower(name)]; ok {
		return e, nil
	}
	var names []string
	for n := range known {
		if n != "" {
			names = append(names, n)
		}
	}
	sort.Strings(names)
	var none E
	return none, usagef("--%s %q is unknown; use one of: %s", flag, name, strings.Join(names, ", "))
}

// nameOf is the inverse of parseName.
func nameOf[E comparable](value E, known map[string]E) string {
	for n, e := range known {
		if e == value && n != "" {
			return n
		}
	}
	return "unknown"
}
