package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/spf13/cobra"
)

func newErase(a *app) *cobra.Command {
	var user, conversation, request string
	var yes, asJSON bool
	cmd := &cobra.Command{
		Use:   "erase",
		Short: "Remove everything about a person or a conversation",
		Long: `Remove every message, turn, trace, correction, fact and bias of a person or a conversation, and what waits to be said in it. Of
corrections of a whole model that somebody reviewed, the value stays with its entity and attribute; a conversation's person keeps the
corrections that hold beyond it. Documents that are a person's, labelled user/NAME or below it (user/ana/diary.txt; a slash in a
name is written %2F), are forgotten by every model. What was interrupted goes on with the same --request-id. It cannot be undone;
dbslm export-user shows what there is.`,
		Example: `  dbslm erase --user ana
  dbslm erase --conversation 0193e4a1-… --yes`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if (user == "") == (conversation == "") {
				return usagef("say whose data: --user NAME or --conversation ID")
			}
			subject, what := &memoryv1.PrivacySubject{Subject: &memoryv1.PrivacySubject_UserId{UserId: user}}, "the person "+user
			if conversation != "" {
				subject, what = &memoryv1.PrivacySubject{Subject: &memoryv1.PrivacySubject_ConversationId{ConversationId: conversation}}, "conversation "+conversation
			}
			if !yes {
				if !terminal(a.in) {
					return usagef("erasing cannot be undone; add --yes to do it")
				}
				if sure, err := confirm(cmd.Context(), a.streams, "Remove everything about "+what+"?"); err != nil || !sure {
					return err
				}
			}
			if request == "" {
				if request, err = newRequestID(); err != nil {
					return err
				}
			}
			return a.with(cmd.Context(), false, func(conn *connection) error {
				rows, documents, err := a.erase(cmd.Context(), conn, subject, request)
				if err != nil {
					if kind := errors.KindOf(err); kind != errors.InvalidArgument && kind != errors.NotFound {
						fmt.Fprintf(a.err, "not finished; go on with: --request-id %s\n", request)
					}
					return err
				}
				if asJSON {
					return printJSON(a.out, erased{user, conversation, request, rows, documents})
				}
				of := plural(rows, "row", "rows")
				if documents > 0 {
					of += ", " + plural(documents, "document", "documents")
				}
				fmt.Fprintf(a.out, "erased %s: %s\n", what, of)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&user, "user", "", "`name` of the person")
	cmd.Flags().StringVar(&conversation, "conversation", "", "`id` of the conversation")
	cmd.Flags().StringVar(&request, "request-id", "", "`id` of an erasure that was interrupted")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// erased is an erasure as it is printed.
type erased struct {
	User         string `json:"user,omitempty"`
	Conversation string `json:"conversation,omitempty"`
	RequestID    string `json:"request_id"`
	Rows         uint64 `json:"rows"`
	Documents    uint64 `json:"documents"`
}

// erase removes a subject's data and returns how many rows of conversations and how many documents those were.
func (a *app) erase(ctx context.Context, conn *connection, subject *memoryv1.PrivacySubject, request string) (rows, documents uint64, err error) {
	stream, err := conn.gateway.Erase(ctx, &gatewayv1.EraseRequest{Tenant: a.tenant, Subject: subject, RequestId: request})
	if err != nil {
		return 0, 0, err
	}
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return rows, documents, errors.New(errors.Unavailable, "STREAM_CUT", "the erasure ended without finishing")
		}
		if err != nil {
			return rows, documents, err
		}
		if resp.Service == "ngram" {
			documents = resp.Rows
			continue
		}
		if rows = resp.Rows; resp.Finished {
			return rows, documents, nil
		}
	}
}

func newExportUser(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "export-user NAME",
		Short: "Write everything stored about a person to standard output, one JSON object a line",
		Long: `Write every conversation, message, trace, correction, fact and bias of a person, and what waits or waited to be said in their
conversations (signal), to standard output, one JSON object a line, each with its "kind"; and which documents are the person's.`,
		Example: "  dbslm export-user ana > ana.ndjson",
		Args:    oneArg("the person's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error {
				stream, err := memoryv1.NewPrivacyServiceClient(conn).Export(cmd.Context(), &memoryv1.ExportRequest{
					Tenant: a.tenant, Subject: &memoryv1.PrivacySubject{Subject: &memoryv1.PrivacySubject_UserId{UserId: args[0]}},
				})
				if err != nil {
					return err
				}
				out := bufio.NewWriter(a.out)
				if err := pour(stream.Recv, out); err != nil {
					return err
				}
				if err := a.exportLearnt(cmd.Context(), conn, args[0], out); err != nil {
					return err
				}
				if err := a.exportDocuments(cmd.Context(), conn, args[0], out); err != nil {
					return err
				}
				return out.Flush()
			})
		},
	}
}

// exportLearnt writes what level 3 keeps of a person's conversations.
func (a *app) exportLearnt(ctx context.Context, conn *connection, user string, out io.Writer) error {
	for token := ""; ; {
		page, err := memoryv1.NewConversationServiceClient(conn).ListConversations(ctx, &memoryv1.ListConversationsRequest{
			Tenant: a.tenant, UserId: user, IncludeArchived: true, PageSize: 1000, PageToken: token,
		})
		if err != nil {
			return err
		}
		req := &conceptv1.ExportSubjectRequest{Tenant: a.tenant, UserId: user}
		for _, c := range page.Conversations {
			req.ConversationIds = append(req.ConversationIds, c.ConversationId)
		}
		stream, err := conceptv1.NewErasureServiceClient(conn).ExportSubject(ctx, req)
		if err != nil {
			return err
		}
		if err := pour(stream.Recv, out); err != nil {
			return err
		}
		if token = page.NextPageToken; token == "" {
			return nil
		}
	}
}

// exportedDocument is a document of a person as it is exported.
type exportedDocument struct {
	Kind   string    `json:"kind"`
	Model  string    `json:"model"`
	Label  string    `json:"label"`
	SHA256 string    `json:"sha256"`
	Bytes  uint64    `json:"bytes"`
	Tokens uint64    `json:"tokens"`
	Time   time.Time `json:"time"`
}

// exportDocuments writes which documents of every model are a person's; see GatewayService/Erase.
func (a *app) exportDocuments(ctx context.Context, conn *connection, user string, out io.Writer) error {
	lines := json.NewEncoder(out)
	own := "user/" + strings.NewReplacer("%", "%25", "/", "%2F").Replace(user)
	for models := ""; ; {
		page, err := ngramv1.NewModelServiceClient(conn).ListModels(ctx, &ngramv1.ListModelsRequest{Tenant: a.tenant, PageSize: 1000, PageToken: models})
		if err != nil {
			return err
		}
		for _, model := range page.Models {
			for documents := ""; ; {
				found, err := ngramv1.NewCorpusServiceClient(conn).ListDocuments(ctx, &ngramv1.ListDocumentsRequest{
					Tenant: a.tenant, Model: model.Name, PageSize: 1000, PageToken: documents,
				})
				if err != nil {
					return err
				}
				for _, d := range found.Documents {
					if d.Label != own && !strings.HasPrefix(d.Label, own+"/") {
						continue
					}
					line := exportedDocument{"document", model.Name, d.Label, hex.EncodeToString(d.Sha256), d.SizeBytes, d.Tokens, d.CreateTime.AsTime()}
					if err := lines.Encode(line); err != nil {
						return err
					}
				}
				if documents = found.NextPageToken; documents == "" {
					break
				}
			}
		}
		if models = page.NextPageToken; models == "" {
			return nil
		}
	}
}

// pour writes the pieces of a stream to its end.
func pour[T interface{ GetChunk() []byte }](next func() (T, error), out io.Writer) error {
	for {
		piece, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := out.Write(piece.GetChunk()); err != nil {
			return err
		}
	}
}
