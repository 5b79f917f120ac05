package text

import (
	"fmt"

	"dbslm/pkg/errors"
)

// EncodingError says where a text stops being what its encoding promises. Its kind is InvalidArgument.
type EncodingError struct {
	// Name is the file or label of the text; it may be empty.
	Name string
	// Encoding is the encoding that was expected, "utf-8" unless another was asked for.
	Encoding string
	// Offset is the position of the first bad byte, counted from 0 at the start of the input.
	Offset int64
}

func (e *EncodingError) Error() string {
	name := e.Name
	if name == "" {
		name = "the text"
	}
	return fmt.Sprintf("%s is not valid %s at byte offset %d; name the encoding it is really in (for example latin1, cp1252, utf-16) or repair it",
		name, e.Encoding, e.Offset)
}

// Unwrap makes errors.KindOf and errors.ReasonOf see an InvalidArgument error with reason INVALID_ENCODING.
func (e *EncodingError) Unwrap() error {
	return errors.New(errors.InvalidArgument, "INVALID_ENCODING", "%s", e.Error()).
		With("offset", fmt.Sprint(e.Offset))
}
