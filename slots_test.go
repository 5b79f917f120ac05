package dbslm_test

import (
	"fmt"
	"strings"
	"testing"

	"dbslm"
	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
)

// desk is a bot that asks for what it lacks, in two languages.
const desk = `concepts:
  Borrow:
    schema: {tool: string, day: string, member: string}
    slots:
      tool: {values: {ladder: [long ladder, Leiter], drill: [power drill, Bohrmaschine], saw: [Säge]}}
      day: date
      member: {pattern: '(?i)\b(?:member|mitglied|nummer|number)?\s*(\d{4})\b'}
    templates:
      - "Member {member} has the {tool} on {day|date}."
      - {language: de, text: "{tool|select:ladder='Die Leiter',drill='Die Bohrmaschine',other='Das Werkzeug'} ist am {day|date} für Mitglied {member} da."}
      - {asks: tool, text: "Which tool would you like to borrow?"}
      - {asks: tool, language: de, text: "Welches Werkzeug möchten Sie ausleihen?"}
      - {asks: day, text: "For which day do you need the {tool}?"}
      - {asks: day, language: de, text: "Für welchen Tag brauchen Sie es?"}
      - {asks: member, text: "What is your member number?"}
      - {asks: member, language: de, text: "Wie ist Ihre Mitgliedsnummer?"}
    examples: [I would like to borrow a tool, can I borrow something, I want to borrow the ladder, may I borrow the drill tomorrow, Ich möchte ein Werkzeug ausleihen,
      kann ich die Leiter ausleihen, ich würde gern etwas ausleihen]
  Hours:
    schema: {hours: string}
    values: {hours: "15:00–19:00"}
    templates: ["We are open {hours}.", {language: de, text: "Wir haben {hours} geöffnet."}]
    examples: [when are you open, what are your opening hours, are you open today, wann haben Sie geöffnet, wie sind die Öffnungszeiten]
  Note:
    schema: {note: string, at: "string?"}
    slots: {note: text, at: {kind: time, earlier: true}}
    templates: ["Noted{?at} for {at}{/}: {note}.", {asks: note, text: "What shall I note?"}]
    examples: [please take a note, I want to leave a note, write this down]
`

// saying is what a person says and what is answered. {tomorrow} in the answer is the day after the turn, as English writes it.
type saying struct{ said, want string }

// conversations of the desk. Each is held on its own.
var deskConversations = map[string][]saying{
	"all at once": {
		{"I would like to borrow the long ladder on 12 December 2030, member 4711", "Member 4711 has the ladder on December 12, 2030."},
	},
	"two turns": {
		{"May I borrow the drill on 12/24/2030?", "What is your member number?"},
		{"4711", "Member 4711 has the drill on December 24, 2030."},
	},
	"three turns, out of order": {
		{"I would like to borrow a tool, my member number is 4711", "Which tool would you like to borrow?"},
		{"the LADDER", "For which day do you need the ladder?"},
		{"tomorrow", "Member 4711 has the ladder on {tomorrow}."},
	},
	"four turns": {
		{"can I borrow something?", "Which tool would you like to borrow?"},
		{"a saw", "For which day do you need the saw?"},
		{"2030-12-12 please", "What is your member number?"},
		{"it is 0815", "Member 0815 has the saw on December 12, 2030."},
		{"can I borrow something?", "Which tool would you like to borrow?"}, // it begins anew
	},
	"German": {
		{"Ich möchte ein Werkzeug ausleihen", "Welches Werkzeug möchten Sie ausleihen?"},
		{"die Leiter", "Für welchen Tag brauchen Sie es?"},
		{"am 12. Dezember 2030", "Wie ist Ihre Mitgliedsnummer?"},
		{"4711", "Die Leiter ist am 12. Dezember 2030 für Mitglied 4711 da."},
	},
	"German at once": {
		{"kann ich am 3.12.2030 die Leiter ausleihen? Mitglied 4711", "Die Leiter ist am 3. Dezember 2030 für Mitglied 4711 da."},
	},
	"a change of mind": {
		{"I want to borrow the ladder", "For which day do you need the ladder?"},
		{"oh, the drill rather, on 12 December 2030", "What is your member number?"},
		{"4711", "Member 4711 has the drill on December 12, 2030."},
	},
	"a slip of the tongue": {
		{"I want to borrow the ladder on 12 December 2030", "What is your member number?"},
		{"sorry, I meant 13 December 2030", "…"},
		{"4711", "Member 4711 has the ladder on December 13, 2030."},
	},
	"another subject with a value in it": {
		{"I want to borrow the ladder", "For which day do you need the ladder?"},
		{"what are your opening hours on 12 December 2030?", "We are open 15:00–19:00."},
		{"13 December 2030", "What is your member number?"},
	},
	"another subject between": {
		{"I want to borrow the ladder", "For which day do you need the ladder?"},
		{"when are you open?", "We are open 15:00–19:00."},
		{"12 December 2030", "What is your member number?"},
		{"wait, what are your opening hours?", "We are open 15:00–19:00."},
		{"4711", "Member 4711 has the ladder on December 12, 2030."},
	},
	"another subject for good": {
		{"I want to borrow the ladder", "For which day do you need the ladder?"},
		{"when are you open?", "We are open 15:00–19:00."},
		{"are you open today?", "We are open 15:00–19:00."},
		{"what are your opening hours?", "We are open 15:00–19:00."},
		{"12 December 2030", ""}, // the form is gone
	},
	"called off": {
		{"I want to borrow the ladder", "For which day do you need the ladder?"},
		{"never mind", "All right, let us leave it."},
		{"12 December 2030", ""},
	},
	"called off in German": {
		{"kann ich die Leiter ausleihen?", "Für welchen Tag brauchen Sie es?"},
		{"ach, vergiss es", "Gut, lassen wir das."},
	},
	"no answer": {
		{"I want to borrow the ladder", "For which day do you need the ladder?"},
		{"xylophones rarely bite", "For which day do you need the ladder?"},
		{"xylophones rarely bite", "I could not make that out, so let us leave it. You can always begin again."},
		{"xylophones rarely bite", ""},
	},
	"an answer that is no date": {
		{"I want to borrow the ladder", "For which day do you need the ladder?"},
		{"on 30 February", "For which day do you need the ladder?"},
		{"on 28 February 2030", "What is your member number?"},
	},
	"asked why": {
		{"I want to borrow the ladder", "For which day do you need the ladder?"},
		{"Why did you say that?", "I said “For which day do you need the ladder?” because …"},
		{"12 December 2030", "What is your member number?"},
	},
	"whole answers": {
		{"At 3 pm, you said?", ""},
		{"please take a note", "What shall I note?"},
		{"The ladder has a broken rung.", "Noted for 15:00: The ladder has a broken rung."},
	},
	"not to a whole answer": {
		{"please take a note", "What shall I note?"},
		{"when are you open?", "We are open 15:00–19:00."},
		{"{braces} are said as they are", "Noted: {braces} are said as they are."},
	},
}

// A concept asks for the slots that it lacks, one after the other, in the person's language; what is said in between is answered,
// and a form ends. A repeated turn gets the same reply, another replica goes on, and all replays.
func TestConceptsAsk(t *testing.T) {
	databasetest.EachTarget(t, func(t *testing.T, target database.Target) {
		db := dsn(t, target)
		if _, err := dbslm.Migrate(t.Context(), db, nil); err != nil {
			t.Fatal(err)
		}
		s := opened(t, db)
		train(t, s.gateway, "harbour", harbour)
		if _, err := conceptv1.NewBotServiceClient(s.Conn()).ApplyBot(t.Context(), &conceptv1.ApplyBotRequest{File: desk}); err != nil {
			t.Fatal(err)
		}
		var replies []*gatewayv1.RespondResponse
		ids := map[string]string{}
		for name := range deskConversations {
			ids[name] = start(t, s.gateway)
		}
		for turn := range 5 {
			for name, sayings := range deskConversations {
				if turn < len(sayings) {
					replies = append(replies, s.hear(t, ids[name], fmt.Sprint(name, turn), sayings[turn]))
				}
			}
			if turn == 1 { // the process ends, and another goes on
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = opened(t, db)
			}
		}
		for _, r := range replies {
			replayed, err := s.gateway.Replay(t.Context(), &gatewayv1.ReplayRequest{MessageId: r.Message.MessageId})
			if err != nil || !replayed.Identical {
				t.Errorf("%q: %v, %v", r.Message.Content, err, replayed)
			}
		}
		s.explains(t)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func opened(t *testing.T, db string) system {
	t.Helper()
	sys, err := dbslm.Open(t.Context(), dbslm.Config{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	return clientsOf(sys)
}

// hear says something twice under one request id.
func (s system) hear(t *testing.T, conversation, id string, e saying) *gatewayv1.RespondResponse {
	t.Helper()
	r := respond(t, s.gateway, conversation, id, e.said, 7)
	want := strings.ReplaceAll(e.want, "{tomorrow}", r.Trace.TurnTime.AsTime().AddDate(0, 0, 1).Format("January 2, 2006"))
	switch span := r.Trace.Segments[0].Span; {
	case want == "" && span != nil:
		t.Errorf("%s: %q is answered by %s: %q", id, e.said, span.Concept, r.Message.Content)
	case strings.HasSuffix(want, "…") && strings.HasPrefix(r.Message.Content, strings.TrimSuffix(want, "…")):
	case want != "" && r.Message.Content != want:
		t.Errorf("%s: %q is answered with %q, want %q; considered: %v", id, e.said, r.Message.Content, want, r.Trace.Segments[0].Considered)
	}
	if again := respond(t, s.gateway, conversation, id, e.said, 7); !cmp.Equal(again.Trace, r.Trace, protocmp.Transform()) {
		t.Errorf("%s: repeated, the trace is another one", id)
	}
	return r
}

// explains looks at where values came from, in the trace of a question and of what was said in the end.
func (s system) explains(t *testing.T) {
	conversation := start(t, s.gateway)
	s.hear(t, conversation, "explained 1", saying{"I want to borrow the ladder", "For which day do you need the ladder?"})
	r := s.hear(t, conversation, "explained 2", saying{"12 December 2030", "What is your member number?"})
	span := r.Trace.Segments[0].Span
	if diff := cmp.Diff(map[string]string{"tool": "answer", "day": "text"}, span.SlotSources); diff != "" || span.Asks != "member" || !span.ContinuesForm {
		t.Errorf("asks %q, continues %v; sources (-want +got):\n%s", span.Asks, span.ContinuesForm, diff)
	}
	if diff := cmp.Diff([]*conceptv1.ReadValue{{Slot: "day", From: 0, To: 16}}, span.Read, protocmp.Transform()); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	note := start(t, s.gateway)
	s.hear(t, note, "noted 1", saying{"At 3 pm, you said?", ""})
	s.hear(t, note, "noted 2", saying{"please take a note", "What shall I note?"})
	r = s.hear(t, note, "noted 3", saying{"Bring rope.", "Noted for 15:00: Bring rope."})
	span = r.Trace.Segments[0].Span
	if diff := cmp.Diff([]*conceptv1.ReadValue{{Slot: "note", From: 0, To: 11}, {Slot: "at", MessagesBack: 4, From: 3, To: 7}}, span.Read, protocmp.Transform()); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	s.corrected(t)
}

// corrected: a correction that bears on what a person asks in the middle of a form is answered, one that bears on an answer does not
// keep it from being taken.
func (s system) corrected(t *testing.T) {
	t.Helper()
	conversation := start(t, s.gateway)
	if _, err := memoryv1.NewCorrectionServiceClient(s.Conn()).RecordCorrection(t.Context(), &memoryv1.RecordCorrectionRequest{
		ConversationId: conversation, RequestId: "deposit", Fact: &memoryv1.CorrectedFact{Entity: "drill", Attribute: "deposit", Value: "20 euros"}, ErrorContext: "deposit for the drill",
	}); err != nil {
		t.Fatal(err)
	}
	s.hear(t, conversation, "corrected 1", saying{"I would like to borrow a tool", "Which tool would you like to borrow?"})
	s.hear(t, conversation, "corrected 2", saying{"What is the deposit for the drill?", "The deposit of drill is 20 euros."})
	s.hear(t, conversation, "corrected 3", saying{"the drill, whatever the deposit for the drill", "For which day do you need the drill?"})
}
