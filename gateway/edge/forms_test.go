package edge_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"dbslm/gateway/edge"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
)

const desk = `concepts:
  Borrow:
    schema: {tool: string, day: string, member: string}
    slots: {tool: {values: {ladder: [Leiter], drill: Bohrer}}, day: date, member: {pattern: '\b\d{4}\b'}}
    templates:
      - "Member {member} has the {tool} on {day|date}."
      - {asks: tool, text: "Which tool would you like?"}
      - {asks: tool, text: "Sorry, which tool?", when: asked_before}
      - {asks: day, text: "For which day do you need the {tool}{?member}, member {member}{/}?"}
      - {asks: member, text: "What is your member number?"}
      - {asks: member, text: "Wie ist Ihre Nummer?", language: de}
    examples: [I would like to borrow a tool, can I borrow something, I want to borrow the ladder]
  Return:
    schema: {day: string}
    slots: {day: date}
    templates: ["We expect it on {day|date}.", {asks: day, text: "For which day do you need the saw?"}]
    examples: [I will bring it back later, when must I return it]
  Hours:
    templates: ["We open at noon."]
    examples: [when are you open, what are your opening hours]
`

// A client that brings the history with every request, and nothing else, is asked and understood too; what others answered to the
// same history is not seen.
func TestChatsThatAsk(t *testing.T) {
	sys := system(t)
	if _, err := conceptv1.NewBotServiceClient(sys.Conn()).ApplyBot(t.Context(), &conceptv1.ApplyBotRequest{File: desk}); err != nil {
		t.Fatal(err)
	}
	url := serve(t, sys.Conn(), edge.Options{}) + "/v1/chat/completions"
	type said struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	}
	reply := func(messages []said) string {
		t.Helper()
		request, err := json.Marshal(map[string]any{"model": "default", "seed": 5, "messages": messages})
		if err != nil {
			t.Fatal(err)
		}
		head, body := ask(t, "POST", url, string(request))
		if head.status != http.StatusOK {
			t.Fatalf("%d %s", head.status, body)
		}
		text, _ := in(t, body, "choices", 0, "message", "content").(string)
		return text
	}
	for name, exchanges := range map[string][][2]string{
		"in order": {
			{"can I borrow something?", "Which tool would you like?"},
			{"the ladder", "For which day do you need the ladder?"},
			{"12 December 2030", "What is your member number?"},
			{"4711", "Member 4711 has the ladder on December 12, 2030."},
			{"can I borrow something?", "Which tool would you like?"},
			{"the drill", "For which day do you need the drill?"},
		},
		"out of order": {
			{"can I borrow something? I am 4711", "Which tool would you like?"}, {"on 12 December 2030, the ladder", "Member 4711 has the ladder on December 12, 2030."},
		},
		"an optional part": {
			{"I want to borrow the ladder, 4711", "For which day do you need the ladder, member 4711?"}, {"12 December 2030", "Member 4711 has the ladder on December 12, 2030."},
		},
		"another subject": {
			{"I want to borrow the ladder", "For which day do you need the ladder?"},
			{"when are you open?", "We open at noon."},
			{"12 December 2030", "What is your member number?"},
			{"when are you open?", "We open at noon."},
			{"4711", "Member 4711 has the ladder on December 12, 2030."},
		},
		"called off": {
			{"I want to borrow the ladder", "For which day do you need the ladder?"}, {"never mind", "All right, let us leave it."}, {"12 December 2030", ""},
		},
		"no answer": {
			{"can I borrow something?", "Which tool would you like?"},
			{"hm", "Sorry, which tool?"},
			{"hm", "I could not make that out, so let us leave it. You can always begin again."},
			{"12 December 2030", ""},
		},
	} {
		var messages []said
		for _, e := range exchanges {
			other := reply(append(messages[:len(messages):len(messages)], said{"user", "never mind, cancel"})) // somebody else at this point
			messages = append(messages, said{"user", e[0]})
			got := reply(messages)
			if e[1] != "" && got != e[1] || e[1] == "" && (got == "What is your member number?" || got == "For which day do you need the ladder?") {
				t.Errorf("%s: %q is answered with %q, want %q; another got %q", name, e[0], got, e[1], other)
			}
			messages = append(messages, said{"assistant", got})
		}
	}
}
