package dbslm_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/text"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"dbslm"
)

// told is one case of testdata/corrections.txt.
type told struct {
	name  string
	lines []string
}

func toldCases(t *testing.T) (list []told) {
	t.Helper()
	data, err := os.ReadFile("testdata/corrections.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, "\n")
		name, begins := strings.CutPrefix(line, "case ")
		switch {
		case line == "" || line[0] == '#':
		case begins:
			list = append(list, told{name: name})
		default:
			list[len(list)-1].lines = append(list[len(list)-1].lines, line)
		}
	}
	return list
}

// TestCorrectionsBind plays the written conversations. At least 95 of 100 questions about something that was corrected are
// answered with the corrected value; no answer holds a superseded or revoked one; no unrelated answer changes by a byte.
func TestCorrectionsBind(t *testing.T) {
	databasetest.EachTarget(t, func(t *testing.T, target database.Target) {
		url := dsn(t, target)
		if _, err := dbslm.Migrate(t.Context(), url, nil); err != nil {
			t.Fatal(err)
		}
		s := open(t, dbslm.Config{DB: url})
		train(t, s.gateway, "harbour.txt", harbour)
		cases := toldCases(t)
		if len(cases) < 80 {
			t.Fatalf("only %d cases", len(cases))
		}
		asked, answered := 0, 0
		for i, c := range cases {
			control := &player{t: t, s: s, prefix: fmt.Sprintf("control %d", i), control: true}
			control.play(c)
			p := &player{t: t, s: s, prefix: fmt.Sprintf("case %d", i), plain: control.plain}
			p.play(c)
			for id, n := range p.replays {
				if n > 1 {
					t.Errorf("%s: CorrectionReplay spoke %d times of correction %s", c.name, n, id)
				}
			}
			asked, answered = asked+p.asked, answered+p.answered
		}
		if 100*answered < 95*asked {
			t.Errorf("%d of %d questions were answered with the corrected value", answered, asked)
		}
		t.Logf("%d cases: %d of %d questions answered with the corrected value", len(cases), answered, asked)
	})
}

// player plays a case in one person's name.
type player struct {
	t            *testing.T
	s            system
	prefix       string
	control      bool     // leaves everything out that records a correction
	plain        []string // replies to unrelated messages: those of the control run, or what was recorded of it
	plains       int
	user         int
	conversation string
	turns        int
	said         string
	reply        *gatewayv1.RespondResponse
	correction   string // the latest
	replays      map[string]int

	asked, answered int
}

func (p *player) play(c told) {
	p.replays = map[string]int{}
	p.begin()
	for i, line := range c.lines {
		command, rest, _ := strings.Cut(line, " ")
		at := fmt.Sprintf("%s, line %d, %q", c.name, i+1, line)
		switch command {
		case "say":
			p.say(rest)
		case "plain":
			p.say(rest)
			if got := p.reply.Message.Content; p.control {
				p.plain = append(p.plain, got)
			} else if want := p.plain[p.plains]; got != want {
				p.t.Errorf("%s: the reply is %q; without corrections it is %q", at, got, want)
			}
			p.plains++
		case "new":
			p.begin()
		case "newuser":
			p.user++
			p.begin()
		default:
			if !p.control {
				p.corrects(at, command, rest)
			}
		}
	}
}

func (p *player) begin() {
	resp, err := p.s.gateway.StartConversation(p.t.Context(), &gatewayv1.StartConversationRequest{UserId: fmt.Sprint(p.prefix, " ", p.user)})
	if err != nil {
		p.t.Fatal(err)
	}
	p.conversation = resp.Conversation.ConversationId
}

func (p *player) say(what string) {
	p.turns++
	p.said = what
	noticing := gatewayv1.Noticing_NOTICING_RECORD
	if p.control {
		noticing = gatewayv1.Noticing_NOTICING_OFF
	}
	seed, echo := uint64(p.turns), 0.0 // what was replied before shall not matter: in the control run it was something else
	var err error
	p.reply, err = p.s.gateway.Respond(p.t.Context(), &gatewayv1.RespondRequest{
		RequestId: fmt.Sprint(p.turns), ConversationId: p.conversation, Text: what, Noticing: noticing,
		Parameters: &ngramv1.DecodeParameters{Seed: &seed, EchoPenalty: &echo},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	if len(p.reply.Trace.Degradations) > 0 {
		p.t.Errorf("%q: degraded: %v", what, p.reply.Trace.Degradations)
	}
	for _, segment := range p.reply.Trace.Segments {
		if segment.Span.GetConcept() == "CorrectionReplay" {
			p.replays[segment.Span.GetSignal().GetPayloadJson()]++
		}
	}
	if c := p.reply.Noticed.GetCorrection(); c != nil {
		p.correction = c.CorrectionId
	}
}

// corrects runs what a control run leaves out.
func (p *player) corrects(at, command, rest string) {
	p.t.Helper()
	left, right, _ := strings.Cut(rest, " => ")
	entity, attribute, _ := strings.Cut(left, " | ")
	switch command {
	case "fact":
		p.record(&memoryv1.RecordCorrectionRequest{Fact: &memoryv1.CorrectedFact{Entity: entity, Attribute: attribute, Value: right}})
	case "userfact":
		p.record(&memoryv1.RecordCorrectionRequest{
			Scope: memoryv1.Scope_SCOPE_USER, Fact: &memoryv1.CorrectedFact{Entity: entity, Attribute: attribute, Value: right},
		})
	case "free":
		p.record(&memoryv1.RecordCorrectionRequest{ErrorContext: left, Fact: &memoryv1.CorrectedFact{Value: right}})
	case "imported":
		_, err := memoryv1.NewCorrectionServiceClient(p.s.Conn()).RecordCorrection(p.t.Context(), &memoryv1.RecordCorrectionRequest{
			RequestId: fmt.Sprint(p.prefix, " imported ", p.turns), ConversationId: p.conversation, Origin: "elsewhere",
			ErrorContext: left, Fact: &memoryv1.CorrectedFact{Value: right},
		})
		if err != nil {
			p.t.Fatal(at, err)
		}
	case "correct":
		p.record(&memoryv1.RecordCorrectionRequest{
			ErrorContext: left, Fact: &memoryv1.CorrectedFact{Value: right}, ErrorMessageId: p.reply.Message.MessageId,
		})
	case "revoke":
		_, err := memoryv1.NewCorrectionServiceClient(p.s.Conn()).RevokeCorrection(p.t.Context(), &memoryv1.RevokeCorrectionRequest{CorrectionId: p.correction})
		if err != nil {
			p.t.Fatal(at, err)
		}
	case "promote":
		_, err := memoryv1.NewCorrectionServiceClient(p.s.Conn()).PromoteCorrection(p.t.Context(), &memoryv1.PromoteCorrectionRequest{
			CorrectionId: p.correction, Scope: memoryv1.Scope_SCOPE_USER, ReviewedBy: "an editor",
		})
		if err != nil {
			p.t.Fatal(at, err)
		}
	case "recorded", "unrecorded":
		if got := p.reply.Noticed.GetCorrection() != nil; got != (command == "recorded") {
			p.t.Errorf("%s: noticed %v", at, p.reply.Noticed)
		}
	case "want":
		if p.asked++; answers(p.reply, p.said, rest) {
			p.answered++
		} else {
			p.t.Logf("%s: the reply is %q", at, p.reply.Message.Content)
		}
	case "not":
		if strings.Contains(text.FoldKey(p.reply.Message.Content), text.FoldKey(rest)) {
			p.t.Errorf("%s: the reply is %q", at, p.reply.Message.Content)
		}
	default:
		p.t.Fatalf("%s: unknown", at)
	}
}

func (p *player) record(k *memoryv1.RecordCorrectionRequest) {
	p.t.Helper()
	k.RequestId, k.ConversationId = fmt.Sprint(p.prefix, " ", p.turns, k.Fact, k.Scope), p.conversation
	k.RequestId = k.RequestId[:min(len(k.RequestId), 100)]
	resp, err := p.s.gateway.Correct(p.t.Context(), &gatewayv1.CorrectRequest{Correction: k})
	if err != nil {
		p.t.Fatal(err)
	}
	p.correction = resp.Correction.CorrectionId
}

// answers reports whether a value stands in what a reply says besides CorrectionReplay, in a sentence that does not hold what
// the person said.
func answers(reply *gatewayv1.RespondResponse, said, value string) bool {
	for _, segment := range reply.Trace.Segments {
		if segment.Span.GetConcept() == "CorrectionReplay" {
			continue
		}
		spoken := text.FoldKey(segment.Text)
		if strings.Contains(spoken, text.FoldKey(value)) && !strings.Contains(spoken, strings.TrimRight(text.FoldKey(said), ".?!")) {
			return true
		}
	}
	return false
}
