package server_test

import (
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
		if len(list) != 1 || !list[0].GetActive() {
			t.Errorf("after all mistakes there are %v", list)
		}
		if got := must(m.GetConversation(ctx, &memoryv1.GetConversationRequest{ConversationId: id}))(t).GetConversation(); got.GetMessages() != 2 {
			t.Errorf("after all mistakes there are %d messages", got.GetMessages())
		}
	})
}
