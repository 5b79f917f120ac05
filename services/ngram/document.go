package ngram

import "time"

// DocumentState says how far a document is.
type DocumentState string

// The states of a document. Text is stored first and counted second, so that a killed training completes from the
// store; and it is subtracted before it is removed.
const (
	DocumentReceiving  DocumentState = "receiving"  // text is being stored
	DocumentStored     DocumentState = "stored"     // the text is complete; some or none of it is counted
	DocumentCounted    DocumentState = "counted"    // all of it is counted
	DocumentLeaving    DocumentState = "leaving"    // replaced by other text; some or none of it is subtracted
	DocumentForgetting DocumentState = "forgetting" // being forgotten; some, none or all of it is subtracted
)

// Document is one text of a model.
type Document struct {
	ID        string // UUIDv7
	Model     ModelID
	Label     string // unique in the model
	SHA256    [32]byte
	Weight    int64 // how often its counts apply
	State     DocumentState
	Bytes     int64 // size of the text
	Sentences int64 // as they stand in the text, weight not applied
	Tokens    int64 // without ends of sentences, weight not applied
	NGrams    int64 // n-gram events over all orders, weight not applied
	TextKept  bool
	Created   time.Time
}

// Outcome says what became of a document that was sent.
type Outcome uint8

// The outcomes.
const (
	OutcomeCounted   Outcome = iota + 1 // new and counted
	OutcomeUnchanged                    // the same content was counted before; nothing changed
	OutcomeEmpty                        // it holds no token; nothing was stored
	OutcomeReplaced                     // counted, and what was under its label is subtracted
)

// Progress is told how far a long task is: the phase, and the units done of the total in it, 0 when that is unknown.
// It is called from the goroutine that works and must return at once.
type Progress func(phase string, done, total int64)

// Report calls the function unless it is nil.
func (p Progress) Report(phase string, done, total int64) {
	if p != nil {
		p(phase, done, total)
	}
}
