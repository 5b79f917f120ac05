package converse

import (
	"strings"
	"testing"

	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
)

func TestRead(t *testing.T) {
	s, err := Read(strings.NewReader(`
bot: b
seed: 7
conversations:
  - turns:
      - say: Hello
        language: de
        expect: {concept: "", contains: [a, b], fact: c, matches: "^x+$"}
      - correct: a => b
      - correct: {attribute: price, right: "5"}
      - remember: {attribute: price, value: "5"}
      - signal: {concept: Hours, payload: {a: 1}}
`))
	if err != nil {
		t.Fatal(err)
	}
	turns := s.Conversations[0].Turns
	if s.Bot != "b" || s.Seed != 7 || s.Conversations[0].Name != "conversation 1" || len(turns) != 5 || turns[0].Line != 6 || turns[0].Language != "de" ||
		*turns[0].Expect.Concept != "" || len(turns[0].Expect.Contains) != 2 || turns[1].Correct.Wrong != "a" || turns[1].Correct.Right != "b" ||
		turns[2].Correct.Attribute != "price" || turns[4].Signal.Payload["a"] != 1 {
		t.Errorf("%+v", s)
	}
	turn := func(s string) string { return "conversations:\n  - turns:\n      - " + s + "\n" }
	for text, want := range map[string]string{
		"":                   "it is empty",
		"bot: b\n":           "needs conversations",
		"conversations: 7\n": "line 1",
		"conversation: []\n": "line 1: field conversation is not known",
		"conversations:\n  - name: x\n    turns: []\n":                 "x has no turns",
		"conversations:\n  - name: " + strings.Repeat("x", 300) + "\n": "more than 256 bytes",
		turn("Hello"):                              "line 3: a turn is a mapping",
		turn("{}"):                                 "line 3: a turn needs exactly one of say",
		turn("{say: a, correct: a => b}"):          "line 3: a turn needs exactly one",
		turn("{says: a}"):                          `line 3: "says" is not known here; known are: say,`,
		turn("{say: a, expect: {contain: b}}"):     `line 3: "contain" is not known here`,
		turn("{say: a, expect: {}}"):               "line 3: expect is a mapping",
		turn("{say: a, expect: {matches: \"(\"}}"): "line 3: error parsing regexp",
		turn("{correct: a}"):                       "line 3: a correction is written as",
		turn("{correct: {wrong: a}}"):              "line 3: a correction is written as",
		turn("{remember: {value: a}}"):             "line 3: a fact needs",
		turn("{signal: {payload: {a: 1}}}"):        "line 3: a signal needs a concept",
		turn("{correct: a => b, language: de}"):    "line 3: expect and language need say",
		"a: [\n":                                   "line",
		"a: \xff\n":                                "not UTF-8",
		strings.Repeat("#\n", MaxBytes):            "more than",
		"a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nconversations: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n": "",
	} {
		if _, err := Read(strings.NewReader(text)); errors.ReasonOf(err) != "BAD_SCRIPT" || !strings.Contains(errors.Public(err), want) {
			t.Errorf("%.60q: %v; want %q", text, err, want)
		}
	}
}

func TestJudge(t *testing.T) {
	free := func(text string) *gatewayv1.Trace {
		return &gatewayv1.Trace{Segments: []*gatewayv1.TraceSegment{{Text: text}}}
	}
	before := []said{{"Who?", "The cat sleeps."}}
	source := NewSource([]string{"One two, three four\nfive six seven.", "Eight nine ten."}, 4)
	for reply, want := range map[string]Category{
		"The dog barks.":                  "",
		"The cat sleeps.":                 NoRepetition,
		"It is so. It is so.":             NoRepetition,
		"It is on the on the way.":        NoRepetition,
		"Really, really good.":            "",
		"":                                EndsWell,
		"The dog barks at the":            EndsWell,
		"He said: “Go!”":                  "",
		"the dog barks.":                  WellWritten,
		"“the dog barks.”":                WellWritten,
		"5 dogs bark.":                    "",
		"The dog , barks.":                WellWritten,
		"The dog,, barks.":                WellWritten,
		"The dog  barks.":                 WellWritten,
		"The (dog barks.":                 WellWritten,
		"The dog “barks.":                 WellWritten,
		"Wait … what?":                    "",
		"Der „Hund“ bellt.":               "",
		"A one, two three four!":          "",
		"One two three FOUR five.":        NoCopy,
		"Four five six seven eight nine.": "", // not over the end of a text, and seven words are not in a row
	} {
		var failed []Category
		for _, v := range always(said{"What?", reply}, before, free(reply), source) {
			if v.why != "" {
				failed = append(failed, v.category)
			}
		}
		if want == "" && len(failed) > 0 || want != "" && (len(failed) != 1 || failed[0] != want) && reply != "" {
			t.Errorf("%q: %v, want %q", reply, failed, want)
		}
	}
	if why := repeats(said{"who", "The cat sleeps."}, before); why != "" {
		t.Errorf("the same question may have the same answer: %s", why)
	}
	concept := "Hours"
	trace := &gatewayv1.Trace{Segments: []*gatewayv1.TraceSegment{{Text: "x", Span: &conceptv1.Span{Concept: "Hours", LanguageCode: "de"}}}}
	all := (&Expect{Concept: &concept, Language: "de", Equals: "Um Acht.", Contains: Texts{"acht"}, Lacks: Texts{"neun"}, Fact: Texts{"zehn", "ACHT"}, Wrong: Texts{"neun"}}).expected("Um Acht.", trace)
	if len(all) != 7 {
		t.Errorf("%v", all)
	}
	for _, v := range all {
		if v.why != "" {
			t.Errorf("%v", v)
		}
	}
	concept = ""
	for _, v := range (&Expect{Concept: &concept, Language: "en", Equals: "x", Contains: Texts{"neun"}, Lacks: Texts{"acht"}, Fact: Texts{"zehn"}, Wrong: Texts{"acht"}}).expected("Um Acht.", trace) {
		if v.why == "" {
			t.Errorf("%v passed", v)
		}
	}
}
