package edge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"dbslm/pkg/errors"
)

// A request of OpenAI's API is read by a table of its parameters: a wrong type or value is refused and named, a parameter that
// would change the answer in a way that this system has not is refused, one that would not is ignored, and one that OpenAI does
// not know either is refused as it does.

// parameters say for each name how its value is read. A value of null is as none.
type parameters map[string]func(name string, value json.RawMessage) error

// readObject reads the body of a request.
func readObject(r *http.Request, table parameters) error {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return readable(err)
	}
	if !utf8.Valid(raw) {
		return malformed("it is not valid UTF-8")
	}
	return table.read("", raw)
}

// read reads one object; within is the name of what holds it.
func (table parameters) read(within string, raw json.RawMessage) error {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil {
		if _, other := errors.AsType[*json.UnmarshalTypeError](err); other || within != "" {
			return wrongType(strings.TrimSuffix(within, "."), "an object", raw)
		}
		return malformed(err.Error())
	}
	if object == nil {
		return wrongType(strings.TrimSuffix(within, "."), "an object", raw)
	}
	names := make([]string, 0, len(object))
	for name := range object {
		names = append(names, name)
	}
	slices.Sort(names) // the same request is refused for the same reason
	for _, name := range names {
		read, full := table[name], within+name
		if read == nil {
			return invalid("UNKNOWN_PARAMETER", full, "Unknown parameter: '%s'.", full)
		}
		if value := object[name]; string(bytes.TrimSpace(value)) != "null" {
			if err := read(full, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// readable says why a body could not be read.
func readable(err error) error {
	if errors.Is(err, io.EOF) {
		return err
	}
	if e, ok := errors.AsType[*errors.Error](err); ok {
		return e
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return malformed("it ends in the middle")
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return malformed(syntax.Error())
	}
	if _, network := errors.AsType[net.Error](err); !network && !errors.Is(err, http.ErrBodyReadAfterClose) {
		return malformed("it is not cut into chunks as HTTP asks")
	}
	return errors.Wrap(err, errors.Canceled, "BODY_CUT", "the body did not arrive")
}

func malformed(why string) error {
	return errors.New(errors.InvalidArgument, "MALFORMED_JSON", "We could not parse the JSON body of your request: %s.", why)
}

func invalid(reason, param, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	e := errors.New(errors.InvalidArgument, reason, "%s", text)
	if param != "" {
		return e.Field(param, text)
	}
	return e
}

func wrongType(param, want string, got json.RawMessage) error {
	if param == "" {
		return invalid("INVALID_TYPE", "", "The body must be %s, but is %s.", want, kindOf(got))
	}
	return invalid("INVALID_TYPE", param, "Invalid type for '%s': expected %s, but got %s instead.", param, want, kindOf(got))
}

// kindOf names the type of a JSON value.
func kindOf(raw json.RawMessage) string {
	switch raw = bytes.TrimSpace(raw); {
	case len(raw) == 0:
		return "nothing"
	case raw[0] == '"':
		return "a string"
	case raw[0] == '{':
		return "an object"
	case raw[0] == '[':
		return "an array"
	case raw[0] == 't' || raw[0] == 'f':
		return "a boolean"
	case raw[0] == 'n':
		return "null"
	}
	return "a number"
}

// value reads a parameter of one JSON type.
func value[T any](into *T, want string, checks ...func(name string, got T) error) func(string, json.RawMessage) error {
	return func(name string, raw json.RawMessage) error {
		if err := json.Unmarshal(raw, into); err != nil {
			return wrongType(name, want, raw)
		}
		for _, check := range checks {
			if err := check(name, *into); err != nil {
				return err
			}
		}
		return nil
	}
}

func text(into *string, limit int) func(string, json.RawMessage) error {
	return value(into, "a string", func(name, got string) error {
		if len(got) > limit {
			return invalid("STRING_ABOVE_MAX_LENGTH", name, "Invalid '%s': at most %d bytes are possible, but it has %d.", name, limit, len(got))
		}
		return nil
	})
}

func flag(into *bool) func(string, json.RawMessage) error { return value(into, "a boolean") }

// number reads a number of a range.
func number(into **float64, low, high float64) func(string, json.RawMessage) error {
	return value(into, "a number", func(name string, got *float64) error {
		if *got < low || *got > high {
			return outside(name, "a number", low, high, strconv.FormatFloat(*got, 'g', -1, 64))
		}
		return nil
	})
}

// whole reads an integer of a range.
func whole(into **int64, low, high int64) func(string, json.RawMessage) error {
	return value(into, "an integer", func(name string, got *int64) error {
		if *got < low || *got > high {
			return outside(name, "an integer", low, high, strconv.FormatInt(*got, 10))
		}
		return nil
	})
}

func outside[N int64 | float64](name, kind string, low, high N, got string) error {
	return invalid("INVALID_VALUE", name, "Invalid value for '%s': expected %s from %v to %v, but got %s.", name, kind, low, high, got)
}

// ignored takes anything: the answer is the same without.
func ignored(string, json.RawMessage) error { return nil }

// unless refuses every value but those: this system cannot do what they ask for.
func unless(harmless ...string) func(string, json.RawMessage) error {
	return func(name string, raw json.RawMessage) error {
		var compact bytes.Buffer
		if json.Compact(&compact, raw) == nil && slices.Contains(harmless, compact.String()) {
			return nil
		}
		return invalid("UNSUPPORTED_PARAMETER", name, "Unsupported parameter: '%s' with this value is not possible with this model.", name)
	}
}

// oneOrMore reads a string or an array of strings.
func oneOrMore(into *[]string, most, limit int) func(string, json.RawMessage) error {
	return func(name string, raw json.RawMessage) error {
		var one string
		if json.Unmarshal(raw, &one) == nil {
			*into = []string{one}
		} else if err := json.Unmarshal(raw, into); err != nil {
			return wrongType(name, "a string or an array of strings", raw)
		}
		if len(*into) > most {
			return invalid("ARRAY_ABOVE_MAX_LENGTH", name, "Invalid '%s': at most %d are possible, but there are %d.", name, most, len(*into))
		}
		for i, s := range *into {
			if s == "" && limit < textBytes {
				return invalid("INVALID_VALUE", name, "Invalid '%s[%d]': it is empty.", name, i)
			}
			if len(s) > limit || strings.ContainsRune(s, 0) {
				return invalid("INVALID_VALUE", name, "Invalid '%s[%d]': expected at most %d bytes without NUL.", name, i, limit)
			}
		}
		return nil
	}
}
