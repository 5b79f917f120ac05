package main

import (
	"strings"

	conceptv1 "dbslm/proto/dbslm/concept/v1"
)

// slotSummary is a slot that is read from what a person says, as it is printed.
type slotSummary struct {
	Slot    string              `json:"slot"`
	Kind    string              `json:"kind,omitempty"`
	Pattern string              `json:"pattern,omitempty"`
	Values  map[string][]string `json:"values,omitempty"` // with their synonyms
	Earlier bool                `json:"earlier,omitempty"`
	names   []string            // of the values, in order
}

func readSlots(c *conceptv1.Concept) (out []slotSummary) {
	for _, s := range c.Slots {
		read := slotSummary{Slot: s.Slot, Kind: s.Kind, Pattern: s.Pattern, Earlier: s.Earlier}
		for _, v := range s.Values {
			if read.Values == nil {
				read.Values = map[string][]string{}
			}
			read.Values[v.Value] = append([]string{}, v.Synonyms...)
			read.names = append(read.names, v.Value)
		}
		out = append(out, read)
	}
	return out
}

// shownValues bounds the values of a slot that a line shows.
const shownValues = 8

// how says on one line how the slot is read.
func (s slotSummary) how() string {
	said := s.Kind
	switch {
	case s.Pattern != "":
		said = "pattern " + s.Pattern
	case len(s.names) > shownValues:
		said = "one of " + strings.Join(s.names[:shownValues], ", ") + " and " + count(uint64(len(s.names)-shownValues)) + " more"
	case len(s.names) > 0:
		said = "one of " + strings.Join(s.names, ", ")
	}
	if s.Earlier {
		said += ", also from earlier messages"
	}
	return oneLine(said)
}
