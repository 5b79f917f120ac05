package slots

import (
	"encoding/json"

	"dbslm/pkg/errors"
)

// Stored lists the slots of a stored set without making them ready to read with.
func Stored(set string) (list []Slot, err error) {
	if set == "" {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(set), &list); err != nil {
		return nil, errors.Wrap(err, errors.InvalidArgument, "BAD_SLOTS", "the slots are no JSON list of slots: %v", err)
	}
	return list, nil
}
