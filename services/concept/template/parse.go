package template

import (
	"strings"
	"unicode/utf8"

	"dbslm/pkg/errors"
)

// parser reads a template from left to right.
//
//	template  = { text | "{{" | "}}" | place | part }
//	place     = "{" slot { "|" filter [ ":" argument { "," argument } ] } "}"
//	argument  = [ key "=" ] ( word | quoted text )
//	part      = "{?" [ condition ] "}" template [ "{:}" template ] "{/}"
type parser struct {
	text  string
	at    int
	slots int
	tmpl  *Template
}

func parse(text string, l *language) (*Template, error) {
	switch {
	case text == "":
		return nil, syntaxError("the template is empty; write what the concept says")
	case len(text) > MaxText:
		return nil, syntaxError("the template has %d bytes; at most %d are allowed", len(text), MaxText)
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		return nil, syntaxError("the template is not clean UTF-8 text")
	}
	p := &parser{text: text, tmpl: &Template{language: l}}
	parts, end, err := p.parts(0)
	if err == nil && end != "" {
		err = syntaxError("byte %d: %s without a {?…} before it", p.at-len(end), end)
	}
	if err != nil {
		return nil, err
	}
	p.tmpl.parts = parts
	return p.tmpl, nil
}

func syntaxError(format string, args ...any) error {
	return errors.New(errors.InvalidArgument, "BAD_TEMPLATE", format, args...).Field("text", "cannot be read")
}

// parts reads to the end, or to a {:} or {/}, which it returns.
func (p *parser) parts(depth int) (parts []part, end string, err error) {
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			parts = append(parts, part{literal: literal.String()})
			literal.Reset()
		}
	}
	for p.at < len(p.text) {
		rest := p.text[p.at:]
		switch {
		case strings.HasPrefix(rest, "{{"), strings.HasPrefix(rest, "}}"):
			literal.WriteByte(rest[0])
			p.at += 2
		case rest[0] == '}':
			return nil, "", syntaxError("byte %d: a closing brace without an opening one; write }} for a brace", p.at)
		case strings.HasPrefix(rest, "{:}"), strings.HasPrefix(rest, "{/}"):
			flush()
			p.at += 3
			return parts, rest[:3], nil
		case rest[0] == '{':
			flush()
			var next part
			if strings.HasPrefix(rest, "{?") {
				next, err = p.sometimes(depth)
			} else {
				next, err = p.place()
			}
			if err != nil {
				return nil, "", err
			}
			parts = append(parts, next)
		default:
			n := strings.IndexAny(rest, "{}")
			if n < 0 {
				n = len(rest)
			}
			literal.WriteString(rest[:n])
			p.at += n
		}
	}
	flush()
	return parts, "", nil
}

// sometimes reads a part that is said where a condition holds, or where all its slots have values.
func (p *parser) sometimes(depth int) (out part, err error) {
	begin := p.at
	if depth == maxDepth {
		return out, syntaxError("byte %d: parts within parts, more than %d deep", begin, maxDepth)
	}
	inside, err := p.braces()
	if err != nil {
		return out, err
	}
	if inside = strings.TrimSpace(inside[1:]); inside == "" {
		out.whole = true
	} else {
		condition, err := ParseCondition(inside)
		if err != nil {
			return out, syntaxError("byte %d: %s", begin, errors.Public(err))
		}
		out.when = &condition
		p.tmpl.seen = append(p.tmpl.seen, condition.Slots()...)
	}
	var end string
	if out.then, end, err = p.parts(depth + 1); err == nil && end == "{:}" {
		out.orElse, end, err = p.parts(depth + 1)
	}
	if err == nil && end != "{/}" {
		err = syntaxError("byte %d: the part is not closed; end it with {/}, once, after at most one {:}", begin)
	}
	return out, err
}

// braces returns what stands between the brace at hand and the one that closes it, quoted text passed over.
func (p *parser) braces() (string, error) {
	begin, quote := p.at, byte(0)
	for i := begin + 1; i < len(p.text); i++ {
		switch c := p.text[i]; {
		case quote != 0 && c == '\\':
			i++
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
		case c == '"' || c == '\'':
			quote = c
		case c == '{':
			return "", syntaxError("byte %d: a brace within braces; write {name}, or {{ for a brace", begin)
		case c == '}':
			p.at = i + 1
			return p.text[begin+1 : i], nil
		}
	}
	return "", syntaxError("byte %d: the slot is not closed; write {name}, or {{ for a brace", begin)
}

// place reads {slot} with its filters.
func (p *parser) place() (out part, err error) {
	begin := p.at
	inside, err := p.braces()
	if err != nil {
		return out, err
	}
	pieces := split(inside, '|')
	out.slot = pieces[0]
	if !ValidName(out.slot) {
		return out, syntaxError("byte %d: %q is not a slot; a slot is a letter followed by letters, digits and underscores", begin, out.slot)
	}
	if p.slots++; p.slots > maxSlots {
		return out, syntaxError("byte %d: more than %d slots", begin, maxSlots)
	}
	if len(pieces)-1 > maxFilters {
		return out, syntaxError("byte %d: more than %d filters", begin, maxFilters)
	}
	use := Use{Slot: out.slot, Reads: []string{"string", "number", "integer", "boolean", "array"}}
	for _, piece := range pieces[1:] {
		f, err := parseFilter(piece, p.tmpl.language)
		if err != nil {
			return out, syntaxError("byte %d: %s", begin, errors.Public(err))
		}
		if use.Filter == "" && f.kind.reads != nil {
			use.Filter, use.Reads = f.kind.name, f.kind.reads
		}
		out.filters = append(out.filters, f)
	}
	p.tmpl.uses = append(p.tmpl.uses, use)
	return out, nil
}

// split cuts at a separator outside quoted text.
func split(text string, separator byte) []string {
	var out []string
	begin, quote := 0, byte(0)
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quote != 0 && c == '\\':
			i++
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
		case c == '"' || c == '\'':
			quote = c
		case c == separator:
			out = append(out, text[begin:i])
			begin = i + 1
		}
	}
	return append(out, text[begin:])
}

// unquote reads a word or quoted text, in which \ stands before a quote or another \.
func unquote(text string) (string, bool) {
	text = strings.TrimSpace(text)
	if text == "" || text[0] != '"' && text[0] != '\'' {
		return text, text != "" && !strings.ContainsAny(text, "\"'\\=")
	}
	var out strings.Builder
	quote := text[0]
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == quote:
			return out.String(), i == len(text)-1
		case c == '\\' && i+1 < len(text):
			i++
			out.WriteByte(text[i])
		default:
			out.WriteByte(c)
		}
	}
	return "", false
}
