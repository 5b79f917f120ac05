package template

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"

	"dbslm/pkg/errors"
)

// filter is one step between a value and what is said of it.
type filter struct {
	kind      *filterKind
	arguments arguments
}

// arguments are what stands behind a filter's name: in order, or by key.
type arguments struct {
	list  []string
	byKey map[string]string
}

func (a arguments) first(fallback string) string {
	if len(a.list) > 0 {
		return a.list[0]
	}
	return fallback
}

// filterKind is one filter of the language.
type filterKind struct {
	name   string
	reads  []string // JSON types; nil for whatever has text
	absent bool     // it is also applied where there is no value
	wants  string   // its arguments, for people
	check  func(arguments, *language) bool
	// apply says whether it could read the value. Present is false where there is none.
	apply func(value any, present bool, a arguments, l *language) (any, bool)
}

var (
	ofText   = []string{"string", "number", "integer"}
	ofTime   = []string{"string"}
	ofList   = []string{"array"}
	anyValue = []string(nil)
)

// filters are what the language knows.
var filters = knownFilters()

func knownFilters() []filterKind {
	text := func(name string, f func(string, *language) string) filterKind {
		return filterKind{name: name, reads: ofText, wants: "no argument", check: none, apply: func(v any, _ bool, _ arguments, l *language) (any, bool) {
			said, ok := Text(v)
			return f(said, l), ok
		}}
	}
	number := func(name, wants string, check func(arguments, *language) bool, f func(float64, uint64, arguments, *language) (string, bool)) filterKind {
		return filterKind{name: name, reads: ofText, wants: wants, check: check, apply: func(v any, _ bool, a arguments, l *language) (any, bool) {
			n, digits, ok := decimal(v)
			if !ok {
				return nil, false
			}
			return f(n, digits, a, l)
		}}
	}
	when := func(name, wants string, styles ...string) filterKind {
		return filterKind{name: name, reads: ofTime, wants: wants, check: func(a arguments, l *language) bool {
			return l.formats != nil && a.byKey == nil && (len(a.list) == 0 || len(a.list) == 1 && slices.Contains(styles, a.list[0]))
		}, apply: func(v any, _ bool, a arguments, l *language) (any, bool) { return l.sayTime(v, name, a.first("")) }}
	}
	return []filterKind{
		text("upper", func(s string, l *language) string { return l.upper(s) }),
		text("lower", func(s string, l *language) string { return l.lower(s) }),
		text("title", func(s string, l *language) string { return l.title(s) }),
		text("capital", func(s string, l *language) string { return l.capital(s) }),
		number("number", "the number of digits after the point, 0 to 9, or nothing", digitsOrNone, func(n float64, digits uint64, a arguments, l *language) (string, bool) {
			return l.number(n, wanted(a, digits)), true
		}),
		number("percent", "the number of digits after the point, 0 to 9, or nothing", digitsOrNone, func(n float64, _ uint64, a arguments, l *language) (string, bool) {
			return l.percent(n, wanted(a, 0)), true
		}),
		number("plural", "a form for each number that the language has, such as one='# day',other='# days'", pluralForms(false), func(n float64, digits uint64, a arguments, l *language) (string, bool) {
			return l.plural(n, digits, a.byKey, false), true
		}),
		number("ordinal", "a form for each ordinal that the language has, such as one='#st',two='#nd',few='#rd',other='#th'", pluralForms(true), func(n float64, digits uint64, a arguments, l *language) (string, bool) {
			return l.plural(n, digits, a.byKey, true), digits == 0 && n >= 0
		}),
		{name: "select", reads: ofText, wants: "texts for values, such as ladder='the ladder',other='the #'", check: func(a arguments, _ *language) bool {
			return len(a.list) == 0 && len(a.byKey) > 0
		}, apply: func(v any, _ bool, a arguments, _ *language) (any, bool) {
			said, ok := Text(v)
			form, known := a.byKey[said]
			if !known {
				if form, known = a.byKey["other"]; !known {
					return said, ok
				}
			}
			return strings.ReplaceAll(form, "#", said), ok
		}},
		when("date", "short, medium, long or full", "short", "medium", "long", "full"),
		when("weekday", "no argument"),
		when("time", "no argument"),
		{name: "list", reads: ofList, wants: "and, or, or nothing", check: func(a arguments, l *language) bool {
			return a.byKey == nil && (len(a.list) == 0 || len(a.list) == 1 && (a.list[0] == "and" || a.list[0] == "or")) && l.words != nil
		}, apply: func(v any, _ bool, a arguments, l *language) (any, bool) {
			items, ok := asList(v)
			if !ok {
				return nil, false
			}
			return l.list(items, a.first("and") == "or"), true
		}},
		{name: "join", reads: ofList, wants: "the text between two items", check: one, apply: func(v any, _ bool, a arguments, _ *language) (any, bool) {
			items, ok := asList(v)
			return strings.Join(items, a.list[0]), ok
		}},
		{name: "count", reads: ofList, wants: "no argument", check: none, apply: func(v any, _ bool, _ arguments, _ *language) (any, bool) {
			items, ok := asList(v)
			return len(items), ok
		}},
		{name: "default", reads: anyValue, absent: true, wants: "the text for when there is no value", check: func(a arguments, l *language) bool {
			return one(a, l) && strings.TrimSpace(a.list[0]) != ""
		}, apply: func(v any, present bool, a arguments, _ *language) (any, bool) {
			if present {
				return v, true
			}
			return a.list[0], true
		}},
	}
}

func none(a arguments, _ *language) bool { return a.byKey == nil && len(a.list) == 0 }

func one(a arguments, _ *language) bool { return a.byKey == nil && len(a.list) == 1 }

func digitsOrNone(a arguments, l *language) bool {
	return l.formats != nil && (none(a, l) || one(a, l) && len(a.list[0]) == 1 && a.list[0][0] >= '0' && a.list[0][0] <= '9')
}

func wanted(a arguments, digits uint64) uint64 {
	if len(a.list) == 1 {
		return uint64(a.list[0][0] - '0') // checked when it was parsed
	}
	return digits
}

func pluralForms(ordinal bool) func(arguments, *language) bool {
	return func(a arguments, l *language) bool {
		if l.formats == nil || len(a.list) > 0 || a.byKey["other"] == "" {
			return false
		}
		forms := l.forms(ordinal)
		for key := range a.byKey {
			if _, err := strconv.ParseUint(key, 10, 32); err != nil && !slices.Contains(forms, key) {
				return false
			}
		}
		return true
	}
}

// parseFilter reads "name" or "name:argument,key=argument".
func parseFilter(text string, l *language) (filter, error) {
	name, rest, given := strings.Cut(text, ":")
	name = strings.TrimSpace(name)
	at := slices.IndexFunc(filters, func(k filterKind) bool { return k.name == name })
	if at < 0 {
		names := make([]string, len(filters))
		for i, k := range filters {
			names[i] = k.name
		}
		return filter{}, errors.New(errors.InvalidArgument, "BAD_FILTER", "there is no filter %q; the filters are: %s", name, strings.Join(names, ", "))
	}
	f := filter{kind: &filters[at]}
	bad := errors.New(errors.InvalidArgument, "BAD_FILTER", "filter %s takes %s%s", name, f.kind.wants, l.limits(name))
	if given {
		for _, piece := range split(rest, ',') {
			key, value := "", piece
			if cut := split(piece, '='); len(cut) == 2 {
				var ok bool
				if key, ok = unquote(cut[0]); !ok || key == "" {
					return filter{}, bad
				}
				value = cut[1]
			}
			said, ok := unquote(value)
			_, twice := f.arguments.byKey[key]
			switch {
			case !ok || twice:
				return filter{}, bad
			case key == "":
				f.arguments.list = append(f.arguments.list, said)
			default:
				if f.arguments.byKey == nil {
					f.arguments.byKey = map[string]string{}
				}
				f.arguments.byKey[key] = said
			}
		}
	}
	if !f.kind.check(f.arguments, l) {
		return filter{}, bad
	}
	return f, nil
}

// decimal reads a number, or text that is one, with the digits after its point. Beyond 2^53 a number would not be exact.
func decimal(value any) (n float64, digits uint64, ok bool) {
	said, ok := "", true
	switch v := value.(type) {
	case string:
		said = strings.TrimSpace(v)
	case json.Number:
		said = v.String()
	case float64:
		said = strconv.FormatFloat(v, 'f', -1, 64)
	case int:
		said = strconv.Itoa(v)
	default:
		ok = false
	}
	if !ok || said == "" || len(said) > 32 || strings.Trim(said, "0123456789.-+eE") != "" {
		return 0, 0, false
	}
	n, err := strconv.ParseFloat(said, 64)
	if err != nil || math.Abs(n) > 1<<53 {
		return 0, 0, false
	}
	if n == 0 {
		n = 0 // never minus zero
	}
	_, after, _ := strings.Cut(said, ".")
	if strings.ContainsAny(said, "eE") {
		_, after, _ = strings.Cut(strconv.FormatFloat(n, 'f', -1, 64), ".")
	}
	return n, uint64(min(len(after), 9)), true
}

// asList gives the items of a list; a single value is a list of one.
func asList(value any) ([]string, bool) {
	if list, ok := value.([]any); ok {
		return texts(list)
	}
	said, ok := Text(value)
	return []string{said}, ok && said != ""
}
