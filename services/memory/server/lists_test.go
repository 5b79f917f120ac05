package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	memoryv1 "dbslm/proto/dbslm/memory/v1"

	"google.golang.org/grpc/codes"
)

// list is one list RPC: it returns the ids of a page, or of the page after a token.
type list struct {
	name string
	page func(size int32, token string) (ids []string, next string, err error)
}

func ids[Row any](rows []Row, id func(Row) string) (out []string) {
	for _, r := range rows {
		out = append(out, id(r))
	}
	return out
}

func TestLists(t *testing.T) {
	each(t, func(t *testing.T, m *memory) {
		ctx := t.Context()
		const rows = 7
		c := begin(t, m)
		id := c.GetConversationId()
		for i := range rows {
			n := fmt.Sprint(i)
			m.clock.add(time.Second)
			if i > 0 {
				begin(t, m)
			}
			must(m.AppendMessage(ctx, &memoryv1.AppendMessageRequest{ConversationId: id, RequestId: n, Sender: memoryv1.Sender_SENDER_USER, Content: n}))(t)
			must(m.RecordCorrection(ctx, &memoryv1.RecordCorrectionRequest{ConversationId: id, RequestId: n, ErrorContext: n, Fact: &memoryv1.CorrectedFact{Value: n}}))(t)
			must(m.RememberFact(ctx, &memoryv1.RememberFactRequest{ConversationId: id, RequestId: n, Entity: "e" + n, Attribute: strings.Repeat(`<"é>`, 100), Value: n}))(t)
			must(m.CreateBias(ctx, &memoryv1.CreateBiasRequest{RequestId: n, Bias: &memoryv1.Bias{ConversationId: id, Sequence: n, StrengthLog10: 1}}))(t)
		}
		messages := func(newest bool) func(int32, string) ([]string, string, error) {
			return func(size int32, token string) ([]string, string, error) {
				resp, err := m.ListMessages(ctx, &memoryv1.ListMessagesRequest{ConversationId: id, PageSize: size, PageToken: token, NewestFirst: newest})
				return ids(resp.GetMessages(), (*memoryv1.Message).GetMessageId), resp.GetNextPageToken(), err
			}
		}
		corrections := func(conversation string) func(int32, string) ([]string, string, error) {
			return func(size int32, token string) ([]string, string, error) {
				resp, err := m.ListCorrections(ctx, &memoryv1.ListCorrectionsRequest{ConversationId: conversation, PageSize: size, PageToken: token})
				return ids(resp.GetCorrections(), (*memoryv1.Correction).GetCorrectionId), resp.GetNextPageToken(), err
			}
		}
		facts := func(conversation string) func(int32, string) ([]string, string, error) {
			return func(size int32, token string) ([]string, string, error) {
				resp, err := m.ListFacts(ctx, &memoryv1.ListFactsRequest{ConversationId: conversation, PageSize: size, PageToken: token})
				return ids(resp.GetFacts(), (*memoryv1.Fact).GetFactId), resp.GetNextPageToken(), err
			}
		}
		biases := func(conversation string) func(int32, string) ([]string, string, error) {
			return func(size int32, token string) ([]string, string, error) {
				resp, err := m.ListBiases(ctx, &memoryv1.ListBiasesRequest{ConversationId: conversation, PageSize: size, PageToken: token})
				return ids(resp.GetBiases(), (*memoryv1.Bias).GetBiasId), resp.GetNextPageToken(), err
			}
		}
		conversations := func(user string) func(int32, string) ([]string, string, error) {
			return func(size int32, token string) ([]string, string, error) {
				resp, err := m.ListConversations(ctx, &memoryv1.ListConversationsRequest{UserId: user, PageSize: size, PageToken: token})
				return ids(resp.GetConversations(), (*memoryv1.Conversation).GetConversationId), resp.GetNextPageToken(), err
			}
		}
		lists := []list{
			{"messages", messages(false)},
			{"messages newest first", messages(true)},
			{"corrections", corrections(id)},
			{"all corrections", corrections("")},
			{"facts", facts(id)},
			{"all facts", facts("")},
			{"biases", biases(id)},
			{"all biases", biases("")},
			{"conversations", conversations("ada")},
			{"all conversations", conversations("")},
		}
		for _, l := range lists {
			whole, next, err := l.page(0, "")
			if err != nil || next != "" || len(whole) != rows {
				t.Errorf("%s: %d rows, next %q, error %v", l.name, len(whole), next, err)
			}
			for size := int32(1); size < rows+2; size++ {
				var got []string
				for token := ""; ; {
					page, next, err := l.page(size, token)
					if err != nil || len(page) > int(size) {
						t.Fatalf("%s by %d: %d rows, error %v", l.name, size, len(page), err)
					}
					got = append(got, page...)
					if token = next; token == "" {
						break
					}
				}
				if !slices.Equal(whole, got) {
					t.Errorf("%s by %d differ from the whole:\n%v\n%v", l.name, size, got, whole)
				}
			}
		}
		for _, l := range lists { // a token of one list is refused by all others
			_, token, err := l.page(1, "")
			if err != nil || token == "" || len(token) > 1024 {
				t.Fatalf("%s: token %q, error %v", l.name, token, err)
			}
			for _, other := range lists {
				if _, _, err := other.page(1, token); other.name == l.name {
					if err != nil {
						t.Error(err)
					}
				} else {
					wantCode(t, err, codes.InvalidArgument, "BAD_PAGE_TOKEN")
				}
			}
			for _, broken := range []string{token[:len(token)-2], "x", "AAAA"} {
				_, _, err := l.page(1, broken)
				wantCode(t, err, codes.InvalidArgument, "BAD_PAGE_TOKEN")
			}
		}
	})
}
