package server_test

import (
	"fmt"
	"strings"
	"testing"

	"dbslm/pkg/errors"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
)

// Every mistake of a caller has its status, and nothing of it is stored.
func TestBadInput(t *testing.T) {
	each(t, func(t *testing.T, m *memory) {
		ctx := t.Context()
		c := begin(t, m)
		id, unknown := c.GetConversationId(), "01890000-0000-7000-8000-000000000000"
		fact := &memoryv1.CorrectedFact{Entity: "France", Attribute: "capital", Value: "Paris"}
		k := must(m.RecordCorrection(ctx, &memoryv1.RecordCorrectionRequest{RequestId: "k", ConversationId: id, Fact: fact}))(t).GetCorrection()
		must(m.AppendMessage(ctx, &memoryv1.AppendMessageRequest{RequestId: "1", ConversationId: id, Sender: memoryv1.Sender_SENDER_USER, Content: "the harbour"}))(t)
		record := func(req *memoryv1.RecordCorrectionRequest) error {
			req.RequestId, req.ConversationId = "bad", id
			_, err := m.RecordCorrection(ctx, req)
			return err
		}
		search := func(req *memoryv1.SearchMessagesRequest) error {
			_, err := m.SearchMessages(ctx, req)
			return err
		}
		promote := func(req *memoryv1.PromoteCorrectionRequest) error {
			_, err := m.PromoteCorrection(ctx, req)
			return err
		}
		erase := func(req *memoryv1.EraseRequest) error {
			stream, err := m.Erase(ctx, req)
			if err != nil {
				return err
			}
			_, err = stream.Recv()
			return err
		}
		message := func(content string) error {
			_, err := m.AppendMessage(ctx, &memoryv1.AppendMessageRequest{RequestId: "bad", ConversationId: id, Sender: memoryv1.Sender_SENDER_USER, Content: content})
			return err
		}
		user := func(name string) *memoryv1.PrivacySubject {
			return &memoryv1.PrivacySubject{Subject: &memoryv1.PrivacySubject_UserId{UserId: name}}
		}
		conversation := func(id string) *memoryv1.PrivacySubject {
			return &memoryv1.PrivacySubject{Subject: &memoryv1.PrivacySubject_ConversationId{ConversationId: id}}
		}
		other := must(m.RecordCorrection(ctx, &memoryv1.RecordCorrectionRequest{RequestId: "other", ConversationId: id, ErrorContext: "other", Fact: &memoryv1.CorrectedFact{Value: "x"}}))(t).GetCorrection()
		must(m.RevokeCorrection(ctx, &memoryv1.RevokeCorrectionRequest{CorrectionId: other.GetCorrectionId()}))(t)
		supersede := func(id, by string) error {
			_, err := m.SupersedeCorrection(ctx, &memoryv1.SupersedeCorrectionRequest{CorrectionId: id, ByCorrectionId: by})
			return err
		}
		chain := make([]string, 3) // each superseded by the next, which holds
		for i := range chain {
			req := &memoryv1.RecordCorrectionRequest{RequestId: fmt.Sprint("chain", i), ConversationId: id, ErrorContext: "the chain", Fact: &memoryv1.CorrectedFact{Value: fmt.Sprint(i)}}
			chain[i] = must(m.RecordCorrection(ctx, req))(t).GetCorrection().GetCorrectionId()
		}
		deep := strings.Repeat(`{"a":`, 99) + "{}" + strings.Repeat("}", 99)
		invalid, notFound := errors.InvalidArgument, errors.NotFound
		for name, c := range map[string]struct {
			err  error
			kind errors.Kind
		}{
			"a message of 1 MiB and a byte":       {message(strings.Repeat("x", 1<<20+1)), invalid},
			"NUL in a message":                    {message("a\x00b"), invalid},
			"an empty message":                    {message(""), invalid},
			"JSON 100 levels deep":                {record(&memoryv1.RecordCorrectionRequest{Fact: &memoryv1.CorrectedFact{Entity: "e", Value: "v", ExtraJson: deep}}), invalid},
			"JSON that is no object":              {record(&memoryv1.RecordCorrectionRequest{Fact: &memoryv1.CorrectedFact{Entity: "e", Value: "v", ExtraJson: "[1]"}}), invalid},
			"nothing that was wrong":              {record(&memoryv1.RecordCorrectionRequest{Fact: &memoryv1.CorrectedFact{Value: "v"}}), invalid},
			"nothing that is right":               {record(&memoryv1.RecordCorrectionRequest{ErrorContext: "x"}), invalid},
			"a correction of a message elsewhere": {record(&memoryv1.RecordCorrectionRequest{ErrorContext: "x", Fact: fact, ErrorMessageId: unknown}), notFound},
			"a correction of a correction":        {record(&memoryv1.RecordCorrectionRequest{ErrorContext: "x", Fact: fact, ErrorMessageId: k.GetCorrectionId()}), notFound},
			"an origin of our own":                {record(&memoryv1.RecordCorrectionRequest{ErrorContext: "x", Fact: fact, Origin: "promoted:x"}), invalid},
			"a reused request id": {func() error {
				_, err := m.RecordCorrection(ctx, &memoryv1.RecordCorrectionRequest{RequestId: "k", ConversationId: id, ErrorContext: "other", Fact: fact})
				return err
			}(), invalid},
			"promoting an unknown correction":       {promote(&memoryv1.PromoteCorrectionRequest{CorrectionId: unknown, Scope: memoryv1.Scope_SCOPE_USER}), notFound},
			"promoting another tenant's":            {promote(&memoryv1.PromoteCorrectionRequest{Tenant: "other", CorrectionId: k.GetCorrectionId(), Scope: memoryv1.Scope_SCOPE_USER}), notFound},
			"promoting to the same scope":           {promote(&memoryv1.PromoteCorrectionRequest{CorrectionId: k.GetCorrectionId(), Scope: memoryv1.Scope_SCOPE_CONVERSATION}), invalid},
			"promoting to no model":                 {promote(&memoryv1.PromoteCorrectionRequest{CorrectionId: k.GetCorrectionId(), Scope: memoryv1.Scope_SCOPE_MODEL}), invalid},
			"searching for stop words":              {search(&memoryv1.SearchMessagesRequest{Query: "of the"}), invalid},
			"searching for wildcards":               {search(&memoryv1.SearchMessagesRequest{Query: "* ? _"}), invalid},
			"searching for too many words":          {search(&memoryv1.SearchMessagesRequest{Query: "aa bb cc dd ee ff gg hh ii jj kk ll mm nn pp qq rr"}), invalid},
			"searching an unknown conversation":     {search(&memoryv1.SearchMessagesRequest{Query: "harbour", ConversationId: unknown}), notFound},
			"a page token of nobody":                {search(&memoryv1.SearchMessagesRequest{Query: "harbour", PageToken: "x"}), invalid},
			"erasing nobody":                        {erase(&memoryv1.EraseRequest{RequestId: "bad"}), invalid},
			"erasing a name with spaces at its end": {erase(&memoryv1.EraseRequest{RequestId: "bad", Subject: user("ada ")}), invalid},
			"erasing what is no conversation":       {erase(&memoryv1.EraseRequest{RequestId: "bad", Subject: conversation("' OR 1=1 --")}), notFound},
			"erasing without a request id":          {erase(&memoryv1.EraseRequest{Subject: user("ada")}), invalid},
			"invalid UTF-8 in a message":            {message("a\xffb"), invalid},
			"invalid UTF-8 in a correction":         {record(&memoryv1.RecordCorrectionRequest{ErrorContext: "x\xff", Fact: &memoryv1.CorrectedFact{Value: "y"}}), invalid},
			"a correction superseded by itself":     {supersede(chain[2], chain[2]), invalid},
			"a circle of two":                       {supersede(chain[2], chain[1]), errors.FailedPrecondition},
			"a circle of three":                     {supersede(chain[2], chain[0]), errors.FailedPrecondition},
			"superseded by one that was revoked":    {supersede(chain[2], other.GetCorrectionId()), errors.FailedPrecondition},
			"superseding one that was revoked":      {supersede(other.GetCorrectionId(), chain[2]), errors.FailedPrecondition},
			"superseded by another tenant's":        {supersede(chain[2], unknown), notFound},
		} {
			if c.err == nil || errors.KindOf(c.err) != c.kind {
				t.Errorf("%s: %v (%v), want %v", name, c.err, errors.KindOf(c.err), c.kind)
			}
		}
		// A token of one search is no token of another.
		must(m.AppendMessage(ctx, &memoryv1.AppendMessageRequest{RequestId: "2", ConversationId: id, Sender: memoryv1.Sender_SENDER_USER, Content: "the harbour again"}))(t)
		page := must(m.SearchMessages(ctx, &memoryv1.SearchMessagesRequest{Query: "harbour", PageSize: 1}))(t)
		if page.GetNextPageToken() == "" || page.GetMessages()[0].GetContent() != "the harbour again" {
			t.Errorf("the first page is %v", page)
		}
		if err := search(&memoryv1.SearchMessagesRequest{Query: "harbours and boats", PageToken: page.GetNextPageToken()}); errors.KindOf(err) != invalid || err == nil {
			t.Errorf("a token of another query: %v", err)
		}
		list := must(m.ListCorrections(ctx, &memoryv1.ListCorrectionsRequest{IncludeEnded: true}))(t).GetCorrections()
		active := 0
		for _, k := range list {
			if k.GetActive() {
				active++
			}
		}
		if len(list) != 5 || active != 2 {
			t.Errorf("after all mistakes there are %d, %d of them active: %v", len(list), active, list)
		}
		if got := must(m.GetConversation(ctx, &memoryv1.GetConversationRequest{ConversationId: id}))(t).GetConversation(); got.GetMessages() != 2 {
			t.Errorf("after all mistakes there are %d messages", got.GetMessages())
		}
	})
}

// Whatever a value holds is a value: it comes back byte by byte, from the store, by matching and by a turn, and nothing of it is run.
func TestHostileValues(t *testing.T) {
	each(t, func(t *testing.T, m *memory) {
		ctx := t.Context()
		for i, value := range []string{
			`'); DROP TABLE tbl_l2_messages; --`, `" OR ""="`, `100%_!%`, `\'\"\\`, "{{.Secret}} {slot} ${HOME} $1 %s %!d", "a\tb\nc\u0085\rd\x01\x7f", "\u202eevil\u2066\ufeff",
			"<script>alert(1)</script>", "`rm -rf /`", "e\u0301\u0301\u0301", "🏴\U000E0067\U000E007F", `{"value":"x"}`, "NULL",
		} {
			id := begin(t, m).GetConversationId()
			record := must(m.RecordCorrection(ctx, &memoryv1.RecordCorrectionRequest{
				RequestId: fmt.Sprint("hostile", i), ConversationId: id, ErrorContext: "the sign says " + value, Fact: &memoryv1.CorrectedFact{Entity: "sign", Attribute: "text", Value: value},
			}))(t)
			must(m.RememberFact(ctx, &memoryv1.RememberFactRequest{RequestId: fmt.Sprint("fact", i), ConversationId: id, Entity: "door", Attribute: "text", Value: value}))(t)
			turn := must(m.PrepareTurn(ctx, &memoryv1.PrepareTurnRequest{ConversationId: id, RequestId: "r", Text: "The sign says " + value}))(t)
			if got := turn.GetUserMessage().GetContent(); got != "The sign says "+value {
				t.Errorf("%q became %q", "The sign says "+value, got)
			}
			got := must(m.GetCorrection(ctx, &memoryv1.GetCorrectionRequest{CorrectionId: record.GetCorrection().GetCorrectionId()}))(t).GetCorrection()
			if got.GetFact().GetValue() != value || got.GetErrorContext() != "the sign says "+value {
				t.Errorf("%q became %q", value, got)
			}
			if len(turn.GetCorrections()) != 1 || turn.GetCorrections()[0].GetCorrection().GetFact().GetValue() != value || turn.GetCorrections()[0].GetScore() != 1 {
				t.Errorf("%q is matched by %v", value, turn.GetCorrections())
			}
			if len(turn.GetFacts()) != 1 || turn.GetFacts()[0].GetValue() != value {
				t.Errorf("%q is handed out as %v", value, turn.GetFacts())
			}
			// Its wildcards match nothing but themselves.
			other := must(m.MatchCorrections(ctx, &memoryv1.MatchCorrectionsRequest{ConversationId: id, Text: "Nobody speaks of it."}))(t)
			if len(other.GetMatches()) > 0 {
				t.Errorf("%q bears on everything: %v", value, other)
			}
			must(m.CommitTurn(ctx, &memoryv1.CommitTurnRequest{TurnId: turn.GetTurn().GetTurnId(), Content: value, FinishReason: "stop"}))(t)
			if last := must(m.ListMessages(ctx, &memoryv1.ListMessagesRequest{ConversationId: id}))(t).GetMessages(); len(last) != 2 || last[1].GetContent() != value {
				t.Errorf("%q was committed as %v", value, last)
			}
		}
	})
}
