package ngram

import (
	"fmt"
	"time"

	"dbslm/pkg/errors"
)

// BuildID names a build. Ids grow within a store and are never used again, so a cache keyed by one never goes stale.
type BuildID uint32

// Storage says how the probabilities of a build are stored.
type Storage string

// The storages.
const (
	Storage8     Storage = "8"     // codes of 8 bits over a codebook, 12 bits for unigrams
	Storage16    Storage = "16"    // codes of 16 bits over a codebook
	StorageExact Storage = "exact" // log10 as IEEE 754 binary64
)

// Bits is the size of a code: 8 or 16, 0 for exact storage.
func (s Storage) Bits() int {
	switch s {
	case Storage8:
		return 8
	case Storage16:
		return 16
	}
	return 0
}

// Smoothing names the estimator of a build.
type Smoothing string

// The estimators; package smoothing has their formulas.
const (
	ModifiedKneserNey Smoothing = "modified-kneser-ney" // interpolated modified Kneser-Ney (Chen and Goodman 1998)
	JelinekMercer     Smoothing = "jelinek-mercer"      // interpolation with weights estimated by leaving one out
	WittenBell        Smoothing = "witten-bell"         // interpolated Witten-Bell (method C)
)

// Imported stands in place of an estimator where probabilities came with a file: the build's model has no counts.
const Imported Smoothing = "imported"

// BuildState is the state of a build.
type BuildState string

// The states of a build.
const (
	BuildBuilding BuildState = "building" // rows are being written; invisible
	BuildReady    BuildState = "ready"    // complete; may be published
	BuildFailed   BuildState = "failed"   // ended without completing; its rows are removed by the next build
	BuildDropped  BuildState = "dropped"  // removed
)

// Discounts are the parameters of modified Kneser-Ney for one order.
type Discounts struct {
	Order          int
	D1, D2, D3     float64 // for adjusted counts 1, 2 and 3 or more
	Fallback       bool    // the closed form failed and 0.5, 1, 1.5 were taken
	CountsOfCounts [4]int64
}

// Weight is the weight of the longest context of one class in Jelinek-Mercer interpolation.
type Weight struct {
	Order  int
	Class  int     // of contexts, by how often their followers were seen on average; see smoothing.Class
	Lambda float64 // in (0, 1)
	Events int64   // tokens left out, one at a time, from which it was estimated; 0 leaves the prior, 1/2
}

// Pruning leaves n-grams out of a build. Unigrams always stay, and so does every n-gram that a longer one which stays
// begins or ends with; what an n-gram had of its own goes to the backoff weight of its context.
type Pruning struct {
	// Cutoffs are counts by order, element 0 for order 1, where it must be 0: an n-gram that occurred at most that often
	// goes. The last one holds for all higher orders too. They must not decrease.
	Cutoffs []int64
	// Threshold is a relative entropy in nats: an n-gram goes whose removal costs less. At most one of it and the targets
	// is set.
	Threshold float64
	// Targets: the least threshold is taken that leaves at most as many n-grams, or rows of at most as many bytes.
	TargetNGrams, TargetBytes int64
}

// IsZero says that nothing is pruned.
func (p Pruning) IsZero() bool {
	return p.Equal(Pruning{})
}

// Cutoff returns the count at or below which n-grams of an order go.
func (p Pruning) Cutoff(order int) int64 {
	if len(p.Cutoffs) == 0 {
		return 0
	}
	return p.Cutoffs[min(order, len(p.Cutoffs))-1]
}

// Equal says that two prunings leave the same out.
func (p Pruning) Equal(other Pruning) bool {
	for order := 1; order <= max(len(p.Cutoffs), len(other.Cutoffs)); order++ {
		if p.Cutoff(order) != other.Cutoff(order) {
			return false
		}
	}
	return p.Threshold == other.Threshold && p.TargetNGrams == other.TargetNGrams && p.TargetBytes == other.TargetBytes
}

// Build is one immutable derivation of a model.
type Build struct {
	ID             BuildID
	Model          ModelID
	Tenant, Name   string
	State          BuildState
	Published      bool
	Order          int
	Smoothing      Smoothing
	KenLMQuirk     bool
	Storage        Storage
	Discounts      []Discounts // by order; element 0 is order 1; zero but for CountsOfCounts unless modified Kneser-Ney
	Weights        []Weight    // of Jelinek-Mercer, by order and class; else empty
	Pruning        Pruning     // as it was asked for
	Threshold      float64     // the relative entropy that was applied, in nats: Pruning.Threshold, or found for a target
	Pruned         []int64     // n-grams left out, by order; empty where nothing was to be pruned
	VocabularyEnd  uint32      // every token id of the build is below it
	VocabularySize int64       // |V|: words with a count, plus <unk> and </s>
	NGrams         []int64     // distinct n-grams by order, without pruned ones; element 0 is order 1, control tokens not included
	CountsVersion  int64
	Tokens         int64
	RowsAdded      int64
	RowsClosed     int64
	Warnings       []string
	Failure        string
	Created        time.Time
	Finished       time.Time // zero while it is being built
	Size           Size
	HeldOut        *HeldOut // nil if the model had no held-out text
	// The codebooks of unigrams, longer n-grams and backoff weights; 0 for exact storage.
	UnigramCodebook, LogprobCodebook, BackoffCodebook int64
}

// BuildOptions choose how a build is derived. The zero value means 8 bits, modified Kneser-Ney.
type BuildOptions struct {
	Storage   Storage
	Smoothing Smoothing
	Pruning   Pruning
	// KenLMQuirk tallies the counts of counts as KenLM does for its last n-gram; for comparison only.
	KenLMQuirk bool
	// IfChanged returns the published build when neither counts nor options changed since it was derived.
	IfChanged bool
}

// WithDefaults fills every zero value.
func (o BuildOptions) WithDefaults() BuildOptions {
	if o.Storage == "" {
		o.Storage = Storage8
	}
	if o.Smoothing == "" {
		o.Smoothing = ModifiedKneserNey
	}
	return o
}

// Validate says what is wrong with options for a model of that order, as InvalidArgument.
func (o BuildOptions) Validate(order int) error {
	switch o.Storage {
	case Storage8, Storage16, StorageExact:
	default:
		return errors.New(errors.InvalidArgument, "STORAGE_INVALID", "the storage must be 8, 16 or exact, not %q", o.Storage).Field("storage", "must be 8, 16 or exact")
	}
	switch o.Smoothing {
	case ModifiedKneserNey, JelinekMercer, WittenBell:
	default:
		return errors.New(errors.InvalidArgument, "SMOOTHING_INVALID", "the smoothing must be modified-kneser-ney, jelinek-mercer or witten-bell, not %q", o.Smoothing).
			Field("smoothing", "unknown")
	}
	if o.KenLMQuirk && o.Smoothing != ModifiedKneserNey {
		return errors.New(errors.InvalidArgument, "QUIRK_WITHOUT_DISCOUNTS", "KenLM's tally changes the discounts of modified Kneser-Ney; the smoothing %s has none", o.Smoothing).
			Field("kenlm_quirk", "needs modified-kneser-ney")
	}
	return o.Pruning.Validate(order)
}

// Validate says what is wrong with a pruning for a model of that order, as InvalidArgument.
func (p Pruning) Validate(order int) error {
	invalid := func(field, format string, args ...any) error {
		text := fmt.Sprintf(format, args...)
		return errors.New(errors.InvalidArgument, "PRUNING_INVALID", "%s", text).Field("pruning."+field, text)
	}
	if len(p.Cutoffs) > order {
		return invalid("cutoffs", "there are counts for %d orders, but the model's order is %d", len(p.Cutoffs), order)
	}
	for i, cutoff := range p.Cutoffs {
		switch {
		case i == 0 && cutoff != 0:
			return invalid("cutoffs", "the count for order 1 must be 0, not %d: words always stay", cutoff)
		case cutoff < 0 || i > 0 && cutoff < p.Cutoffs[i-1]:
			return invalid("cutoffs", "the counts must not decrease with the order, but %d follows %d", cutoff, p.Cutoffs[max(0, i-1)])
		}
	}
	if !(p.Threshold >= 0 && p.Threshold <= 1000) {
		return invalid("threshold", "the threshold must be a relative entropy in nats from 0 to 1000, not %g", p.Threshold)
	}
	if p.TargetNGrams < 0 || p.TargetBytes < 0 {
		return invalid("target", "a target must not be negative")
	}
	given := 0
	for _, set := range []bool{p.Threshold > 0, p.TargetNGrams > 0, p.TargetBytes > 0} {
		if set {
			given++
		}
	}
	if given > 1 {
		return invalid("threshold", "a threshold and a target, or two targets, cannot both be met; give one of them")
	}
	return nil
}
