package memory

import (
	"math"
	"strings"
	"time"

	"dbslm/pkg/exactmath"
)

// Bounds of decaying biases.
const (
	MinHalfLife = time.Minute
	MaxHalfLife = 10 * 365 * 24 * time.Hour
	MinStrength = 0.01 // log10 units; what has decayed below does not apply
)

// Bias is one token bias: a text sequence preferred or suppressed where a context matches. It holds text, not token ids,
// which belong to a model.
type Bias struct {
	Tenant    string
	ID        string
	RequestID string
	Place     // only the id of its scope is set
	Context
	Sequence     string
	Strength     float64 // log10 units, in [-MaxStrength, MaxStrength]
	Expires      time.Time
	HalfLife     time.Duration // in which the strength falls to its half; 0 for none
	CorrectionID string
	Created      time.Time
	Effective    float64 // strength at the time of a turn, in PreparedTurn only
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
	case math.IsNaN(b.Strength) || math.Abs(b.Strength) > MaxStrength:
		return b, Invalid("bias.strength_log10", "must be between -%g and %g", MaxStrength, MaxStrength)
	case b.Strength == 0:
		return b, Invalid("bias.strength_log10", "0 changes nothing; use a positive strength to prefer, a negative one to suppress")
	case !b.Expires.IsZero() && !now.Before(b.Expires):
		return b, Invalid("bias.expire_time", "has passed")
	case b.HalfLife != 0 && (b.HalfLife < MinHalfLife || b.HalfLife > MaxHalfLife):
		return b, Invalid("bias.half_life", "must be between 1 minute and 10 years; leave it out for a strength that stays")
	}
	return b, b.Context.check()
}

// At is the strength at a time, in log10 units: halved with every half-life, and 0 once it is expired or below MinStrength.
func (b Bias) At(now time.Time) float64 {
	if !b.Expires.IsZero() && !now.Before(b.Expires) {
		return 0
	}
	strength := b.Strength
	if age := now.Sub(b.Created); b.HalfLife > 0 && age > 0 {
		strength = float64(strength * exactmath.Exp(-math.Ln2*(float64(age)/float64(b.HalfLife))))
	}
	if math.Abs(strength) < MinStrength {
		return 0
	}
	return strength
}

// SameRequest reports whether other asks for the same bias; who repeats a request id must.
func (b Bias) SameRequest(other Bias) bool {
	return b.Place.Key() == other.Place.Key() && b.Context == other.Context && b.Sequence == other.Sequence && b.Strength == other.Strength &&
		b.Expires.Equal(other.Expires) && b.HalfLife == other.HalfLife && b.CorrectionID == other.CorrectionID
}
