package store

import (
	"context"
	"encoding/json"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/concept"
)

// edit is one transaction that changes a bot, and what it will have changed.
type edit struct {
	tx      *database.Tx
	bot     concept.Bot
	now     time.Time
	version int64 // of the bot, with this change
	changes []Change
}

// Change is one entry of a bot's history.
type Change struct {
	BotVersion int64
	Seq        int64 // within the version
	Concept    string
	What       string // "concept", "template LANGUAGE/NAME" or "examples"
	Version    uint32 // 0 for what was deleted, and for examples
	Content    string // JSON; "" for what was deleted
	Changed    time.Time
}

// edit runs f in a transaction that locks the bot, raises its version and writes down what f changed.
func (s *Store) edit(ctx context.Context, bot concept.Bot, now time.Time, f func(*edit) error) error {
	return s.db.InTx(ctx, func(tx *database.Tx) error {
		if err := touch(ctx, tx, bot); err != nil {
			return err
		}
		e := &edit{tx: tx, bot: bot, now: now}
		if err := tx.QueryRow(ctx, selectBotVersion, bot.Tenant, bot.Name).Scan(&e.version); err != nil {
			return err
		}
		if err := f(e); err != nil {
			return err
		}
		return e.write(ctx)
	})
}

// record notes a change; nil content is a deletion.
func (e *edit) record(name, what string, version uint32, content map[string]any) {
	c := Change{Concept: name, What: what, Version: version}
	if content != nil {
		if encoded, err := json.Marshal(content); err == nil { // texts, numbers and booleans always can be
			c.Content = string(encoded)
		}
	}
	e.changes = append(e.changes, c)
}

func (e *edit) write(ctx context.Context) error {
	if len(e.changes) == 0 {
		return nil
	}
	rows := make([][]any, len(e.changes))
	for i, c := range e.changes {
		rows[i] = []any{e.bot.Tenant, e.bot.Name, e.version, int64(i), c.Concept, c.What, int64(c.Version), c.Content, e.now.UTC().UnixMicro()}
	}
	columns := []string{"tenant", "bot", "bot_version", "seq", "concept_id", "what", "version", "content", "changed_at"}
	return e.tx.Upsert(ctx, "tbl_l3_history", columns, columns[:4], replace("content"), rows)
}

const selectHistory = `SELECT bot_version, seq, concept_id, what, version, content, changed_at FROM tbl_l3_history
WHERE tenant = ? AND bot = ? AND (bot_version < ? OR bot_version = ? AND seq < ?) AND (? = '' OR concept_id = ?)
ORDER BY bot_version DESC, seq DESC LIMIT ?`

// History returns up to limit changes of a bot, or of one of its concepts, before a position, newest first.
func (s *Store) History(ctx context.Context, bot concept.Bot, only string, beforeVersion, beforeSeq int64, limit int) (out []Change, err error) {
	rows, err := s.db.Query(ctx, selectHistory, bot.Tenant, bot.Name, beforeVersion, beforeVersion, beforeSeq, only, only, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var c Change
		var changed int64
		if err := rows.Scan(&c.BotVersion, &c.Seq, &c.Concept, &c.What, &c.Version, &c.Content, &changed); err != nil {
			return nil, err
		}
		c.Changed = time.UnixMicro(changed).UTC()
		out = append(out, c)
	}
	return out, rows.Err()
}

// Edits is everything that one change of a whole bot does.
type Edits struct {
	Delete          []string
	DeleteTemplates []concept.Template
	Put             []concept.Concept
	PutTemplates    []concept.Template // each with an id for when it is new
	Add, Remove     []concept.Example
}

// Apply changes a whole bot in one transaction, if it has the version that the edits were made for:
// FailedPrecondition otherwise. It returns the new version.
func (s *Store) Apply(ctx context.Context, bot concept.Bot, ifVersion int64, edits Edits, now time.Time, builtIn func(string) bool) (version int64, err error) {
	err = s.edit(ctx, bot, now, func(e *edit) error {
		version = e.version
		if was := e.version - 1; was != ifVersion {
			return errors.New(errors.FailedPrecondition, "BOT_CHANGED", "the bot has version %d, not %d: somebody changed it in between; look at the difference again", was, ifVersion)
		}
		for _, name := range edits.Delete {
			if _, err := e.deleteConcept(ctx, name); err != nil {
				return err
			}
		}
		for _, t := range edits.DeleteTemplates {
			if _, err := e.deleteTemplate(ctx, t.Concept, t.Language, t.Name); err != nil {
				return err
			}
		}
		for _, c := range edits.Put {
			if _, _, err := e.putConcept(ctx, c); err != nil {
				return err
			}
		}
		for _, t := range edits.PutTemplates {
			if _, _, err := e.putTemplate(ctx, t); err != nil {
				return err
			}
		}
		return e.examples(ctx, edits, builtIn)
	})
	return version, err
}

func (e *edit) examples(ctx context.Context, edits Edits, builtIn func(string) bool) error {
	removed, err := deleteExamples(ctx, e.tx, e.bot, edits.Remove)
	if err != nil {
		return err
	}
	added, err := addExamples(ctx, e.tx, e.bot, edits.Add, builtIn)
	if err != nil {
		return err
	}
	if added+removed > 0 {
		e.record("", "examples", 0, map[string]any{"added": added, "removed": removed})
	}
	if added+removed == 0 && len(edits.Delete) > 0 {
		return lockPointer(ctx, e.tx, e.bot, true)
	}
	return nil
}

// LoadWhole reads a bot with its examples in one consistent view.
func (s *Store) LoadWhole(ctx context.Context, bot concept.Bot) (snap Snapshot, examples []concept.Example, err error) {
	err = s.db.InReadTx(ctx, func(tx *database.Tx) error {
		snap, examples = Snapshot{}, nil
		err := tx.QueryRow(ctx, selectBotVersion, bot.Tenant, bot.Name).Scan(&snap.Version)
		if errors.Is(err, database.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if snap.Concepts, err = readConcepts(ctx, tx, selectConcepts, bot.Tenant, bot.Name); err != nil {
			return err
		}
		if snap.Templates, err = readTemplates(ctx, tx, selectTemplates, bot.Tenant, bot.Name); err != nil {
			return err
		}
		examples, err = readExamples(ctx, tx, bot)
		return err
	})
	return snap, examples, err
}
