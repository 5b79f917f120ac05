package memory

import (
	"math"
	"strings"
	"time"

	"dbslm/services/memory/folding"
)

// Bias is one token bias: a text sequence preferred or suppressed where a context matches. It holds text, not token ids,
// which belong to a model.
type Bias struct {
	Tenant       string
	ID           string
	RequestID    string
	Place        // only the id of its scope is set
	Pattern      string
	Sequence     string
	Strength     float64 // log10 units, in [-MaxStrength, MaxStrength]
	Expires      time.Time
	CorrectionID string
	Created      time.Time
}

// Complete checks a bias that is to be stored at that time.
func (b Bias) Complete(now time.Time) (Bias, error) {
	switch {
	case len(b.UserID) > maxUserBytes:
		return b, Invalid("bias.user_id", "takes %d bytes; at most %d are allowed", len(b.UserID), maxUserBytes)
	case len(b.Model) > maxModelBytes:
		return b, Invalid("bias.model", "takes %d bytes; at most %d are allowed", len(b.Model), maxModelBytes)
	case strings.TrimSpace(b.Sequence) == "":
		return b, Invalid("bias.sequence", "give the text that is preferred or suppressed")
	case len(b.Sequence) > MaxSequenceBytes:
		return b, Invalid("bias.sequence", "takes %d bytes; at most %d are kept", len(b.Sequence), MaxSequenceBytes)
	case len(b.Pattern) > MaxPatternBytes:
		return b, Invalid("bias.pattern", "takes %d bytes; at most %d are kept", len(b.Pattern), MaxPatternBytes)
	case b.Pattern != "" && folding.Text(b.Pattern) == "":
		return b, Invalid("bias.pattern", "holds no word, so no context could match it; leave it empty for a bias that always applies")
	case math.IsNaN(b.Strength) || math.Abs(b.Strength) > MaxStrength:
		return b, Invalid("bias.strength_log10", "must be between -%g and %g", MaxStrength, MaxStrength)
	case b.Strength == 0:
		return b, Invalid("bias.strength_log10", "0 changes nothing; use a positive strength to prefer, a negative one to suppress")
	case !b.Expires.IsZero() && !now.Before(b.Expires):
		return b, Invalid("bias.expire_time", "has passed")
	}
	return b, nil
}

// Anchor is the index word that a context must hold for the bias to apply; empty when it always applies.
func (b Bias) Anchor() string { return folding.Anchor(folding.Text(b.Pattern)) }

// Applies reports whether a folded context holds the pattern, at a time before the bias expires.
func (b Bias) Applies(folded string, now time.Time) bool {
	if !b.Expires.IsZero() && !now.Before(b.Expires) {
		return false
	}
	phrase := folding.Text(b.Pattern)
	return phrase == "" || folding.Contains(folded, phrase)
}

// SameRequest reports whether other asks for the same bias; who repeats a request id must.
func (b Bias) SameRequest(other Bias) bool {
	return b.Place.Key() == other.Place.Key() && b.Pattern == other.Pattern && b.Sequence == other.Sequence && b.Strength == other.Strength &&
		b.Expires.Equal(other.Expires) && b.CorrectionID == other.CorrectionID
}
