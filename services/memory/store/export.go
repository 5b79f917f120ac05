package store

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/memory"
)

// exportPage bounds what an export reads at once.
const exportPage = 100

// Export hands out everything stored about a subject, one JSON object a line, each with a "kind": conversation, message, trace,
// correction, fact, bias; of a person also what they recorded for a model, and what corrects an answer to them. An unknown conversation is NotFound; a person of whom nothing is known has an empty export.
func (s *Store) Export(ctx context.Context, tenant string, subject memory.Subject, line func([]byte) error) error {
	x := exporter{s, tenant, line}
	if subject.ConversationID != "" {
		return x.conversation(ctx, subject.ConversationID)
	}
	q := ConversationQuery{Tenant: tenant, UserID: subject.UserID, IncludeArchived: true, Limit: exportPage}
	for {
		page, next, err := s.Conversations(ctx, q)
		if err != nil {
			return err
		}
		for _, c := range page {
			if err := x.conversation(ctx, c.ID); err != nil && errors.KindOf(err) != errors.NotFound { // deleted meanwhile
				return err
			}
		}
		if q.After = next; next == nil {
			break
		}
	}
	if err := x.scope(ctx, memory.Place{Scope: memory.ScopeUser, UserID: subject.UserID}); err != nil {
		return err
	}
	for _, query := range []string{exportRecorded, exportAsked} {
		if err := x.pages(ctx, query, subject.UserID, exportedCorrection); err != nil {
			return err
		}
	}
	return nil
}

type exporter struct {
	store  *Store
	tenant string
	line   func([]byte) error
}

func (x exporter) write(kind string, fields map[string]any) error {
	for name, value := range fields {
		if t, ok := value.(time.Time); ok {
			if fields[name] = t.Format(time.RFC3339Nano); t.IsZero() {
				delete(fields, name)
			}
		} else if value == "" {
			delete(fields, name)
		}
	}
	fields["kind"] = kind
	raw, err := json.Marshal(fields)
	if err != nil {
		return errors.Wrap(err, errors.Internal, memory.ReasonStoredValue, "a %s cannot be written as JSON", kind)
	}
	return x.line(append(raw, '\n'))
}

func (x exporter) conversation(ctx context.Context, id string) error {
	c, err := x.store.Conversation(ctx, x.tenant, id)
	if err != nil {
		return err
	}
	err = x.write("conversation", map[string]any{
		"conversation_id": c.ID, "user_id": c.UserID, "agent_id": c.AgentID, "title": c.Title, "metadata": c.Metadata, "archived": c.Archived,
		"created": c.Created, "updated": c.Updated, "messages": c.Messages(),
	})
	if err != nil {
		return err
	}
	q := MessageQuery{Tenant: x.tenant, ConversationID: id, Limit: exportPage}
	for {
		page, next, err := x.store.Messages(ctx, q)
		if err != nil {
			return err
		}
		for _, m := range page {
			if err := x.message(ctx, m); err != nil {
				return err
			}
		}
		if q.After = next; next == nil {
			break
		}
	}
	return x.scope(ctx, memory.Place{Scope: memory.ScopeConversation, ConversationID: id})
}

func (x exporter) message(ctx context.Context, m memory.Message) error {
	err := x.write("message", map[string]any{
		"message_id": m.ID, "conversation_id": m.ConversationID, "seq": m.Seq, "sender": string(m.Sender), "content": m.Content,
		"finish_reason": m.FinishReason, "created": m.Created,
	})
	if err != nil || m.Sender != memory.SenderAssistant {
		return err
	}
	t, err := x.store.readTrace(ctx, x.store.db, x.tenant, m.ID)
	if errors.Is(err, database.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return x.write("trace", map[string]any{
		"message_id": m.ID, "version": t.Version, "model": t.Model, "ngram_build_id": t.NgramBuildID, "body_base64": base64.StdEncoding.EncodeToString(t.Body),
		"detail_base64": base64.StdEncoding.EncodeToString(t.Detail), "thinned": t.Thinned,
	})
}

const (
	exportCorrections = `SELECT ` + correctionColumns + ` FROM tbl_l2_correction_log WHERE tenant = ? AND scope_key = ? AND correction_id > ? ORDER BY correction_id LIMIT ?`
	exportRecorded    = `SELECT ` + correctionColumns + ` FROM tbl_l2_correction_log WHERE tenant = ? AND recorded_by = ? AND correction_id > ? AND scope = 'model' ORDER BY correction_id LIMIT ?`
	exportAsked       = `SELECT ` + correctionColumns + ` FROM tbl_l2_correction_log WHERE tenant = ? AND asked_by = ? AND correction_id > ? AND scope = 'model' AND recorded_by <> asked_by ORDER BY correction_id LIMIT ?`
	exportFacts       = `SELECT ` + factColumns + ` FROM tbl_l2_facts WHERE tenant = ? AND scope_key = ? AND fact_id > ? ORDER BY fact_id LIMIT ?`
	exportBiases      = `SELECT ` + biasColumns + ` FROM tbl_l2_token_bias WHERE tenant = ? AND scope_key = ? AND bias_id > ? ORDER BY bias_id LIMIT ?`
)

// scope writes what holds in a scope: corrections, ended ones too, facts and biases.
func (x exporter) scope(ctx context.Context, place memory.Place) error {
	key := place.Key()
	if err := x.pages(ctx, exportCorrections, key, exportedCorrection); err != nil {
		return err
	}
	if err := x.pages(ctx, exportFacts, key, func(row database.Scanner) (string, map[string]any, error) {
		f, err := scanFact(row)
		return "fact", map[string]any{
			"id": f.ID, "scope": string(f.Scope), "conversation_id": f.ConversationID, "user_id": f.UserID, "entity": f.Entity, "attribute": f.Attribute,
			"value": f.Value, "created": f.Created, "retired": f.Retired,
		}, err
	}); err != nil {
		return err
	}
	return x.pages(ctx, exportBiases, key, func(row database.Scanner) (string, map[string]any, error) {
		b, err := scanBias(row)
		return "bias", map[string]any{
			"id": b.ID, "scope": string(b.Scope), "conversation_id": b.ConversationID, "user_id": b.UserID, "pattern": b.Pattern, "then": b.Then, "gap": b.Gap, "regex": b.Regex,
			"half_life_seconds": b.HalfLife.Seconds(), "sequence": b.Sequence,
			"strength_log10": b.Strength, "expires": b.Expires, "created": b.Created,
		}, err
	})
}

func exportedCorrection(row database.Scanner) (string, map[string]any, error) {
	k, err := scanCorrection(row)
	if err != nil {
		return "", nil, err
	}
	fact, err := k.Fact.JSON()
	return "correction", map[string]any{
		"id": k.ID, "scope": string(k.Scope), "conversation_id": k.ConversationID, "user_id": k.UserID, "model": k.Model, "error_context": k.ErrorContext,
		"fact": json.RawMessage(fact), "cue": k.Cue, "times": k.Times, "recorded_by": k.RecordedBy, "created": k.Created, "superseded_by": k.SupersededBy,
		"superseded": k.Superseded, "revoked": k.Revoked, "revoke_reason": k.RevokeReason, "origin": k.Origin,
	}, err
}

// pages writes the rows of a query that have a key by their id, a page at a time: no statement stays open while a caller reads slowly.
func (x exporter) pages(ctx context.Context, query, key string, read func(database.Scanner) (string, map[string]any, error)) error {
	after := ""
	for {
		var kind string
		var page []map[string]any
		result, err := x.store.db.Query(ctx, query, x.tenant, key, after, exportPage)
		err = rows(result, err, func(row database.Scanner) error {
			k, fields, err := read(row)
			kind, page = k, append(page, fields)
			return err
		})
		if err != nil {
			return err
		}
		for _, fields := range page {
			after, _ = fields["id"].(string)
			if err := x.write(kind, fields); err != nil {
				return err
			}
		}
		if len(page) < exportPage {
			return nil
		}
	}
}
