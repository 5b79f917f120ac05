package dialogue

import (
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"dbslm/pkg/errors"
)

func read(mapping, data, name string, layout Layout) ([]Dialogue, error) {
	m, err := ParseMapping("m.yaml", []byte(mapping))
	if err != nil {
		return nil, err
	}
	r, err := NewReader(strings.NewReader(data), name, FormatOf(name), m, layout)
	if err != nil {
		return nil, err
	}
	var all []Dialogue
	for {
		d, err := r.Next()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, d)
	}
}

func TestDialogues(t *testing.T) {
	asked := "prompt: q\nresponse: a\n"
	for _, test := range []struct {
		name, mapping, data string
		layout              Layout
		want                []Dialogue
	}{
		{"a.ndjson", asked, "{\"q\": \"Is it open?\", \"a\": \"Yes.\"}\n\n{\"a\": \"No.\\nNot\\r\\nyet.\", \"q\": 12}", Paragraphs, []Dialogue{
			{"Is it open?\n\nYes.\n\n", "", 1, 1}, {"12\n\nNo.\nNot\r\nyet.\n\n", "", 1, 3},
		}},
		{"a.jsonl.gz", asked, "{\"q\": \"Is it open?\", \"a\": \"No.\\nNot\\r\\nyet.\"}", Lines, []Dialogue{{"Is it open?\nNo. Not yet.\n", "", 1, 1}}},
		{"a.json", asked, "[\n {\"q\": \"A\", \"a\": \"B\"},\n {\"q\": \"C\", \"a\": true}]\n", Lines, []Dialogue{{"A\nB\n", "", 1, 2}, {"C\ntrue\n", "", 1, 3}}},
		{"a.json", asked, `{"q": "A", "a": "B"}`, Lines, []Dialogue{{"A\nB\n", "", 1, 1}}},
		{"a.json", asked + "records: data.items\n", `{"v": [{"deep": [1, {}]}], "data": {"n": 2, "items": [{"q": "A", "a": "B"}], "end": [[]]}, "z": null}`, Lines, []Dialogue{{"A\nB\n", "", 1, 1}}},
		{"a.csv", asked, "q,a\nA,\"B, \"\"C\"\"\nD\"\n", Lines, []Dialogue{{"A\nB, \"C\" D\n", "", 1, 2}}},
		{"a.tsv", asked, "a\tq\nB\tA\n", Lines, []Dialogue{{"A\nB\n", "", 1, 2}}},
		{"a.csv", "prompt: 2\nresponse: '1'\nheader: false\ndelimiter: ';'\n", "B;A\nD;C\n", Lines, []Dialogue{{"A\nB\n", "", 1, 1}, {"C\nD\n", "", 1, 2}}},
		{"a.ndjson", "context: [topic, mood]\nprompt: q\nlabels: {topic: 'Topic:', prompt: 'User:'}\n", `{"topic": "Boats", "q": "Open?", "mood": null}`, Lines, []Dialogue{{"Topic: Boats\nUser: Open?\n", "", 1, 1}}},
		{
			"a.ndjson", "turns: messages\nspeaker: role\ntext: content\nlabels: {user: 'U:', assistant: 'A:'}\ndocument: meta.id\nweight: meta.w\n",
			`{"meta": {"id": 7, "w": "3"}, "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}, {"role": "system", "content": "x"}]}`,
			Lines,
			[]Dialogue{{"U: Hi\nA: Hello\nx\n", "7", 3, 1}},
		},
		{"a.ndjson", "turns: said\n", `{"said": ["Hi", " ", "Hello"]}`, Lines, []Dialogue{{"Hi\nHello\n", "", 1, 1}}},
		{"a.csv", "text: said\nspeaker: who\ndocument: talk\nlabels: {u: 'U:'}\n", "talk,who,said\n1,u,Hi\n1,a,Hello\n2,u,So\n", Lines, []Dialogue{{"U: Hi\n", "1", 1, 2}, {"Hello\n", "1", 1, 3}, {"U: So\n", "2", 1, 4}}},
		{"a.ndjson", asked + "missing: skip\n", "{\"q\": \"A\"}\n{\"q\": \"\", \"a\": null}\n{\"a\": \"B\"}\n", Lines, []Dialogue{{"A\n", "", 1, 1}, {"B\n", "", 1, 3}}},
		{"a.json", asked, " [ ] ", Lines, nil},
		{"a.ndjson", asked, "\n \n", Lines, nil},
		{"a.csv", asked, "q,a\n", Lines, nil},
		{"a.csv", asked + "header: false\n", "", Lines, nil},
	} {
		got, err := read(test.mapping, test.data, test.name, test.layout)
		if err != nil {
			t.Errorf("%s %q: %v", test.name, test.data, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s %q (-want +got):\n%s", test.name, test.data, diff)
		}
	}
}

func TestMalformed(t *testing.T) {
	asked := "prompt: q\nresponse: a\n"
	for _, test := range []struct{ name, mapping, data, want string }{
		{"a.ndjson", asked, "{\"q\": \"A\", \"a\": \"B\"}\n{\"q\": \"A\", \"a\": \n", "a.ndjson: line 2, column 17: expected a value, found the end of the line"},
		{"a.ndjson", asked, "{\"q\": \"A\" \"a\": 1}\n", "a.ndjson: line 1, column 11: expected a name or }, found invalid character '\"' after object key:value pair"},
		{"a.ndjson", asked, "{\"q\": \"A\", \"q\": 1}\n", `a.ndjson: line 1, column 15: expected every name once in an object, found "q" again`},
		{"a.ndjson", asked, "\n[1]\n", "a.ndjson: line 2, column 1: expected a record, which is an object in braces, found a list"},
		{"a.ndjson", asked, "{\"q\": 1, \"a\": 2} {}\n", "a.ndjson: line 1, column 18: expected the end of the line, found more JSON"},
		{"a.ndjson", asked, "{\"q\": \"A\", \"b\": 2}\n", `a.ndjson: line 1, column 1: expected a field "a" (or "missing: skip" in the mapping), found the fields "q", "b"`},
		{"a.ndjson", asked, "{\"q\": \"A\", \"a\": \" \"}\n", `a.ndjson: line 1, column 1: expected a text in the field "a" (or "missing: skip" in the mapping), found none`},
		{"a.ndjson", asked, "{\"q\": \"A\", \"a\": [2]}\n", `a.ndjson: line 1, column 1: expected a text in the field "a", found a list`},
		{"a.json", asked, "[\n {\"q\": \"A\", \"a\": \"B\"},\n {\"q\": \"A\",\n", "a.json: line 4, column 1: expected a name or }, found the end of the file"},
		{"a.json", asked, "[\n {\"q\": \"A\", \"a\": \"B\"},\n 12]\n", "a.json: line 3, column 2: expected a record, which is an object in braces, found the number 12"},
		{"a.json", asked, "[{\"q\": \"A\", \"a\": \"B\"}\n{}]", "a.json: line 2, column 1: expected a record or ], found invalid character '{' after array element"},
		{"a.json", asked, "[{\"q\": \"A\", \"a\": \"B\"}]\n{}", "a.json: line 2, column 1: expected the end of the file, found more JSON"},
		{"a.json", asked, "[{\"q\": \"A\", \"a\": \"B\"}\n", "a.json: line 2, column 1: expected a record or ], found the end of the file"},
		{"a.json", asked, "", "a.json: line 1, column 1: expected a list of records, found the end of the file"},
		{"a.json", asked, "12", "a.json: line 1, column 1: expected a list of records, found the number 12"},
		{"a.json", asked + "records: data.items", "{\"data\": {\"x\": []}}", `a.json: line 1, column 10: expected an object with "items", where the mapping says that the records are, found an object without it`},
		{"a.json", asked + "records: data", "{\"data\": 5}", "a.json: line 1, column 10: expected a list of records, found the number 5"},
		{"a.json", asked + "records: data", "{\"data\": [], \"x\": ", "a.json: line 1, column 19: expected }, found the end of the file"},
		{"a.json", asked, strings.Repeat("[", 70), "a.json: line 1, column 2: expected a record, which is an object in braces, found a list"},
		{"a.json", asked, `[{"q":` + strings.Repeat("[", 70), "a.json: line 1, column 70: expected at most 64 lists and objects in each other, found more"},
		{"a.csv", asked, "q,b\n1,2\n", `a.csv: line 1, column 1: expected a column "a", as the mapping says, found the columns "q", "b"`},
		{"a.csv", asked, "q,q\n1,2\n", `a.csv: line 1, column 3: expected every column's name once, found "q" again`},
		{"a.csv", asked, "q,a\n1,2\n1\n", "a.csv: line 3, column 1: expected a row of 2 fields, found 1"},
		{"a.csv", asked, "q,a\n1,b\"c\n", "a.csv: line 2, column 4: expected quotation marks only around a whole field, and doubled inside, found one in a field"},
		{"a.csv", asked, "q,a\n1,\"b\n\n", "a.csv: line 3, column 2: expected the quotation mark that ends the field begun in line 2, found none, or one inside a field"},
		{"a.csv", asked, "", "a.csv: line 1, column 1: expected a row with the names of the columns, found the end of the file"},
		{"a.ndjson", "text: t\ndocument: d\nweight: w\n", `{"t": "A", "d": "x", "w": 0}`, `a.ndjson: line 1, column 1: expected a whole number from 1 to 1000000 in the field "w", found "0"`},
		{"a.ndjson", "text: t\ndocument: d\nmissing: skip\n", `{"t": "A"}`, `a.ndjson: line 1, column 1: expected a field "d" (or "missing: skip" in the mapping), found the fields "t"`},
		{"a.ndjson", "turns: t\ntext: x\n", `{"t": [{"x": "A"}, "B"]}`, `a.ndjson: line 1, column 1: expected an object, in turn 2, found the text "B"`},
		{"a.ndjson", "turns: t\n", `{"t": "A"}`, `a.ndjson: line 1, column 1: expected a list of turns in the field "t", found the text "A"`},
		{"a.log", asked, "", `a.log: its name does not tell its format; name it in the mapping, as "format: ndjson" (or json, csv, tsv)`},
	} {
		_, err := read(test.mapping, test.data, test.name, Lines)
		if errors.KindOf(err) != errors.InvalidArgument || errors.Public(err) != test.want {
			t.Errorf("%s %.60q:\n got %v\nwant %v", test.name, test.data, err, test.want)
		}
	}
}

func TestMappings(t *testing.T) {
	for mapping, want := range map[string]string{
		"promt: q\n":                         `m.yaml: line 1, column 1: expected one of context, delimiter, document, format, header, labels, missing, prompt, records, response, speaker, text, turns, weight, found "promt"`,
		"prompt: q\nprompt: r\n":             `m.yaml: line 2, column 1: expected every name once, found "prompt" again`,
		"prompt: [q]\n":                      `m.yaml: line 1, column 9: expected behind "prompt" the name of a field, found a list`,
		"prompt:\n":                          `m.yaml: line 1, column 8: expected behind "prompt" the name of a field, found ""`,
		"prompt: q\nformat: xml\n":           `m.yaml: line 2, column 9: expected behind "format" json, ndjson, csv or tsv, found "xml"`,
		"prompt: q\nlabels: {a: [b]}\n":      `m.yaml: line 2, column 9: expected behind "labels" a label for each of some names, as "user: 'User:'", found a mapping`,
		"prompt: q\n\tx: y\n":                `m.yaml: line 2, column 1: expected YAML, found line 2: found a tab character that violates indentation`,
		"- prompt\n":                         "m.yaml: line 1, column 1: expected a mapping with some of context, delimiter, document, format, header, labels, missing, prompt, records, response, speaker, text, turns, weight, found none",
		"":                                   "m.yaml: line 1, column 1: expected a mapping with some of context, delimiter, document, format, header, labels, missing, prompt, records, response, speaker, text, turns, weight, found none",
		"weight: w\nprompt: p\n":             "m.yaml: line 1, column 1: expected document beside weight, since weights are those of documents, found weight alone",
		"header: false\n":                    "m.yaml: line 1, column 1: expected a mapping that names prompt, response, turns, text or context, found none of them",
		"turns: t\nprompt: p\n":              "m.yaml: line 1, column 1: expected either turns or prompt and response, found both",
		"prompt: p\ndelimiter: ab\n":         `m.yaml: line 2, column 12: expected behind "delimiter" one character, which is no quotation mark or line end, found "ab"`,
		"prompt: p\nheader: no\n":            `m.yaml: line 2, column 9: expected behind "header" true or false, found "no"`,
		"prompt: p\nmissing: keep\n":         `m.yaml: line 2, column 10: expected behind "missing" refuse or skip, found "keep"`,
		"prompt: p\nformat: csv\nrecords: r": "m.yaml: line 1, column 1: expected records only in JSON, found records in csv",
	} {
		_, err := ParseMapping("m.yaml", []byte(mapping))
		if errors.KindOf(err) != errors.InvalidArgument || errors.Public(err) != want {
			t.Errorf("%q:\n got %v\nwant %v", mapping, err, want)
		}
	}
	if _, err := ParseMapping("m.json", []byte(`{"prompt": "q", "labels": {"prompt": "User:"}, "header": false, "delimiter": "\t"}`)); err != nil {
		t.Error(err)
	}
}

// endless is a record without end.
type endless struct{ begin string }

func (e *endless) Read(p []byte) (int, error) {
	if e.begin != "" {
		n := copy(p, e.begin)
		e.begin = e.begin[n:]
		return n, nil
	}
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// What has no end is refused once it is longer than a record may be: memory stays bounded, whatever was unpacked.
func TestEndlessRecords(t *testing.T) {
	for name, begin := range map[string]string{
		"a.ndjson": `{"q": "`, "a.json": `[{"q": "`, "a.csv": "q\n\"", "b.csv": "", "b.ndjson": "", "c.json": `{"data": "`,
	} {
		m := &Mapping{Prompt: "q"}
		if name == "c.json" {
			m.Records = []string{"items"}
		}
		r, err := NewReader(&endless{begin}, name, FormatOf(name), m, Lines)
		if err == nil {
			_, err = r.Next()
		}
		if errors.ReasonOf(err) != "DIALOGUE_MALFORMED" || !strings.Contains(errors.Public(err), "expected a record of at most 16777216 bytes, found a longer") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A list is read whatever its size, one record at a time.
func TestLongList(t *testing.T) {
	element := `{"q": "` + strings.Repeat("word ", 20_000) + `"},`
	const times = 400 // 40 MB, more than a record may have
	list := io.MultiReader(strings.NewReader("["), &repeated{element, times, ""}, strings.NewReader(`{"q": "end"}]`))
	r, err := NewReader(list, "a.json", JSON, &Mapping{Prompt: "q"}, Lines)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for {
		_, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != times+1 {
		t.Errorf("%d records", n)
	}
}

type repeated struct {
	text  string
	times int
	rest  string
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.rest == "" {
		if r.times == 0 {
			return 0, io.EOF
		}
		r.times--
		r.rest = r.text
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// The same dialogues give the same text in every format.
func TestFormatsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type said struct{ Q, A string }
		text := rapid.StringMatching(`[a-zé",;\n\t{}\[\]:\\ ]{0,12}x`)
		records := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) said { return said{text.Draw(t, "q"), text.Draw(t, "a")} }), 0, 5).Draw(t, "records")
		list, err := json.Marshal(records)
		if err != nil {
			t.Fatal(err)
		}
		lines, rows := "", "Q,A\n"
		quoted := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
		for _, r := range records {
			line, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			lines += string(line) + "\n"
			rows += quoted(r.Q) + "," + quoted(r.A) + "\n"
		}
		layout := rapid.SampledFrom([]Layout{Lines, Paragraphs}).Draw(t, "layout")
		const mapping = "prompt: Q\nresponse: A\n"
		want, err := read(mapping, string(list), "a.json", layout)
		if err != nil {
			t.Fatal(err)
		}
		for name, data := range map[string]string{"a.ndjson": lines, "a.csv": rows, "a.tsv": strings.ReplaceAll(rows, `","`, "\"\t\"")} {
			if name == "a.tsv" {
				data = strings.Replace(data, "Q,A", "Q\tA", 1)
			}
			if name == "a.tsv" && strings.Contains(rows, `","`+`"`) {
				continue // a text that looks like a delimiter
			}
			got, err := read(mapping, data, name, layout)
			if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, data)
			}
			if len(got) != len(want) {
				t.Fatalf("%s: %d dialogues, not %d", name, len(got), len(want))
			}
			for i := range want {
				if got[i].Text != want[i].Text {
					t.Fatalf("%s: %q, not %q", name, got[i].Text, want[i].Text)
				}
			}
		}
	})
}

func FuzzRecords(f *testing.F) {
	for _, seed := range []string{
		`[{"q": "A", "a": "B"}]`, "{\"q\": \"A\", \"a\": {\"q\": [1, true, null]}}\n{\"q\": 1}\n", "q,a\nA,\"B\nC\"\n", `{"data": {"items": [{"q": "A"}]}}`, "", "[", `{"q":"\ud800"}`,
	} {
		f.Add(seed, "prompt: q\nmissing: skip\n")
		f.Add(seed, "turns: q\ntext: a\nspeaker: b\ndocument: a\nweight: q\nrecords: data.items\n")
		f.Add(seed, "prompt: '1'\nheader: false\ndelimiter: ';'\n")
	}
	f.Fuzz(func(t *testing.T, data, mapping string) {
		for _, name := range []string{"a.json", "a.ndjson", "a.csv", "a.tsv"} {
			all, err := read(mapping, data, name, Lines)
			if err != nil && errors.KindOf(err) != errors.InvalidArgument {
				t.Fatalf("%s: %v", name, err)
			}
			for _, d := range all {
				if !strings.HasSuffix(d.Text, "\n") || d.Weight < 1 || d.Line < 1 {
					t.Fatalf("%s: %+v", name, d)
				}
			}
		}
	})
}

func FuzzMapping(f *testing.F) {
	for _, seed := range []string{
		"prompt: q\nresponse: a\n", "context: [a, b]\nturns: t\ntext: x\nspeaker: s\nlabels: {user: 'U:'}\n", `{"format": "csv", "text": "t", "delimiter": ";", "header": false}`,
		"a: &a [*a]\n", "prompt: !!binary x\n", "? [a]\n: b\n", "---\n---\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParseMapping("m.yaml", data)
		if err != nil && errors.KindOf(err) != errors.InvalidArgument {
			t.Fatal(err)
		}
		if err == nil && m.check() != nil {
			t.Fatal(m)
		}
	})
}
