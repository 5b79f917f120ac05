package memory

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"dbslm/pkg/text"
	"dbslm/services/memory/folding"
	"dbslm/services/memory/matching"
)

// Correction is one stored correction. Its content is never rewritten: another correction supersedes it, or it is revoked.
type Correction struct {
	Tenant              string
	ID                  string
	RequestID           string
	Place               // ConversationID is where it was made, in every scope; empty when made outside one
	ErrorMessageID      string
	CorrectionMessageID string
	ErrorContext        string
	Fact                CorrectedFact
	Subject             string // normalised; at most one correction per scope and subject is active
	SupersededBy        string
	Superseded          time.Time
	Revoked             time.Time
	RevokeReason        string
	RecordedBy          string
	// Created orders the corrections of one scope: it grows from each to the next also when the clock does not.
	Created time.Time
	Version uint32 // grows with every change of state
	// Cue is the question that was answered wrongly; empty when no erring message is named. It is found by memory. Once its
	// conversation is gone only its words are left, in no order.
	Cue string
	// AskedBy is the person whose question the cue is, and AskedIn the conversation that it was asked in, empty when that is gone.
	AskedBy, AskedIn string
	// Times is how often this value was recorded for the subject with no other one in between, from 1.
	Times uint32
	// Origin says where an imported or promoted correction came from; empty for one recorded here.
	Origin     string
	ReviewedBy string // of a promoted one
}

// maxCueBytes bounds the question that is kept beside a correction.
const maxCueBytes = 2048

// Active reports whether the correction still holds.
func (c Correction) Active() bool { return c.SupersededBy == "" && c.Revoked.IsZero() }

// Key is what the correction is looked for by.
func (c Correction) Key() matching.Key {
	return matching.NewKey(c.ErrorContext, c.Fact.Entity, c.Fact.Attribute, c.Cue)
}

// Complete checks a correction that is to be recorded and fills in its subject. Something wrong — an error context, an entity
// or an attribute — and the right value are needed.
func (c Correction) Complete() (Correction, error) {
	c.ErrorContext = strings.TrimSpace(c.ErrorContext)
	c.Fact.Entity, c.Fact.Attribute = strings.TrimSpace(c.Fact.Entity), strings.TrimSpace(c.Fact.Attribute)
	c.Fact.Value = strings.TrimSpace(c.Fact.Value)
	if c.Fact.Value == "" {
		return c, Invalid("fact.value", "say what is right")
	}
	if c.Key().Phrase() == "" {
		return c, Invalid("error_context", "say what was wrong, in words: here, or as the fact's entity or attribute")
	}
	var err error
	if c.Fact, err = c.Fact.canonical(); err != nil {
		return c, err
	}
	c.Subject = subject(c.Fact.Entity, c.Fact.Attribute)
	if c.Subject == "" {
		c.Subject = strings.TrimSpace(folding.Text(c.ErrorContext))
	}
	return c, nil
}

// SameRequest reports whether other asks for the same correction; who repeats a request id must.
func (c Correction) SameRequest(other Correction) bool {
	if strings.Contains(c.Subject, amending) && other.Fact.Entity == "" && other.Fact.Attribute == "" { // taken over from what it amends
		c.Fact.Entity, c.Fact.Attribute = "", ""
	}
	return c.Place.Key() == other.Place.Key() && c.ConversationID == other.ConversationID && c.ErrorContext == other.ErrorContext &&
		c.Fact == other.Fact && c.Origin == other.Origin && c.ErrorMessageID == other.ErrorMessageID && c.CorrectionMessageID == other.CorrectionMessageID
}

// Supersede returns the correction replaced by another one at that time.
func (c Correction) Supersede(by string, now time.Time) Correction {
	c.SupersededBy, c.Superseded = by, now
	c.Version++
	return c
}

// Revoke returns the correction ended for that reason.
func (c Correction) Revoke(reason string, now time.Time) Correction {
	c.Revoked, c.RevokeReason = now, reason
	c.Version++
	return c
}

// subject normalises what a fact is about. The slash cannot come out of folding, so an entity is never taken for an attribute
// nor either for an error context.
func subject(entity, attribute string) string {
	e, a := strings.TrimSpace(folding.Text(entity)), strings.TrimSpace(folding.Text(attribute))
	if e == "" && a == "" {
		return ""
	}
	return strings.TrimSpace(e + " / " + a)
}

// ActiveKey identifies a subject in a place: at most one active correction, and at most one fact that holds, has it.
func ActiveKey(place Place, subject string) string { return activeKey(place.Key(), subject) }

func activeKey(scope, subject string) string {
	sum := sha256.Sum256([]byte(scope + "\x00" + subject))
	return hex.EncodeToString(sum[:])
}

// CorrectionMatch is a correction and how it bears on a text.
type CorrectionMatch struct {
	Correction
	matching.Match
}

// WithCue returns the correction of an answer to that person's question in the correction's conversation.
func (c Correction) WithCue(question, askedBy string) Correction {
	c.Cue, c.AskedBy, c.AskedIn = text.Truncate(question, maxCueBytes), askedBy, c.ConversationID
	return c
}

// Inherits returns the correction with the cue of the one that it supersedes, if it has none.
func (c Correction) Inherits(former Correction) Correction {
	if c.Cue == "" {
		c.Cue, c.AskedBy, c.AskedIn = former.Cue, former.AskedBy, former.AskedIn
	}
	return c
}

// Repeats reports whether the correction says of the same subject what another one says.
func (c Correction) Repeats(former Correction) bool {
	return c.Subject == former.Subject && folding.Text(c.Fact.Value) == folding.Text(former.Fact.Value)
}

// MatchCorrections returns those of the candidates that bear on a text, narrowest scope first, those from elsewhere after
// those of this store, then newest; at most limit. frequencies are
// those of each scope, by its key.
func MatchCorrections(candidates []Correction, t matching.Text, frequencies map[string]matching.Frequencies, limit int) []CorrectionMatch {
	slices.SortFunc(candidates, byRank)
	var matches []CorrectionMatch
	for _, c := range candidates {
		if len(matches) == limit {
			break
		}
		if m, ok := c.Key().Match(t, frequencies[c.Place.Key()]); ok {
			matches = append(matches, CorrectionMatch{c, m})
		}
	}
	return matches
}

// promotedFrom begins the origin of a promoted correction; its id follows.
const promotedFrom = "promoted:"

// Imported reports whether the correction came from elsewhere: then it never outranks what was said here.
func (c Correction) Imported() bool {
	return c.Origin != "" && !c.Promoted()
}

// Promoted reports whether the correction is a reviewed copy of one of a narrower scope.
func (c Correction) Promoted() bool { return strings.HasPrefix(c.Origin, promotedFrom) }

func (c Correction) originRank() int {
	if c.Imported() {
		return 1
	}
	return 0
}

// Promote returns the correction as it is recorded in a wider place after review; its request id is a PromotionID.
func (c Correction) Promote(to Place, reviewedBy string) (Correction, error) {
	switch {
	case !c.Active():
		return c, CorrectionHasEnded(c)
	case to.Scope.Rank() <= c.Scope.Rank():
		return c, Invalid("scope", "%s is not wider than %s, the correction's own scope", to.Scope, c.Scope)
	}
	wide := Correction{
		Tenant: c.Tenant, Place: to, ErrorContext: c.ErrorContext, Fact: c.Fact, Subject: c.Subject,
		RecordedBy: c.RecordedBy, Origin: promotedFrom + c.ID, ReviewedBy: reviewedBy,
	}
	return wide.Inherits(c), nil
}

// PromotionID is the request id under which a correction is promoted to a place for the nth time, from 0: what was promoted and
// has ended can be promoted again.
func PromotionID(to Place, correctionID string, n int) string {
	id := promotedFrom + ActiveKey(to, correctionID)
	if n > 0 {
		id += ":" + strconv.Itoa(n)
	}
	return id
}

// CheckOrigin checks the name under which corrections are imported.
func CheckOrigin(origin string) error {
	if strings.HasPrefix(origin, promotedFrom) {
		return Invalid("origin", "must not begin with %q, which names promoted corrections", promotedFrom)
	}
	return CheckName("origin", origin)
}
