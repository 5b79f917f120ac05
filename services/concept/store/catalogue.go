package store

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/concept"
)

// Snapshot is a bot as it was at one version: what is stored, without the built-in parts that nothing overrides and without
// examples.
type Snapshot struct {
	Version   int64
	Concepts  []concept.Concept
	Templates []concept.Template
}

// Load reads a bot without its examples in one consistent view.
func (s *Store) Load(ctx context.Context, bot concept.Bot) (snap Snapshot, err error) {
	err = s.db.InReadTx(ctx, func(tx *database.Tx) error {
		snap = Snapshot{}
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
		snap.Templates, err = readTemplates(ctx, tx, selectTemplates, bot.Tenant, bot.Name)
		return err
	})
	return snap, err
}

const (
	conceptColumns = `concept_id, description, metadata_schema, static_payload, provider_address, priority, disabled, COALESCE(slots, ''), cool_down, version, updated_at`
	selectConcepts = `SELECT ` + conceptColumns + ` FROM tbl_l3_concept_repo WHERE tenant = ? AND bot = ? ORDER BY concept_id`
	selectConcept  = `SELECT ` + conceptColumns + ` FROM tbl_l3_concept_repo WHERE tenant = ? AND bot = ? AND concept_id = ?`
)

func readConcepts(ctx context.Context, q database.Querier, query string, args ...any) (out []concept.Concept, err error) {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var c concept.Concept
		var disabled, updated int64
		if err := rows.Scan(&c.Name, &c.Description, &c.Schema, &c.Static, &c.Provider, &c.Priority, &disabled, &c.Slots, &c.CoolDown, &c.Version, &updated); err != nil {
			return nil, err
		}
		c.Disabled, c.Updated = disabled != 0, time.UnixMicro(updated).UTC()
		out = append(out, c)
	}
	return out, rows.Err()
}

// PutConcept stores a concept as the next version of what is there; an equal one changes nothing. Check is called
// with the templates of the concept inside the transaction and may refuse.
func (s *Store) PutConcept(ctx context.Context, bot concept.Bot, c concept.Concept, now time.Time, check func([]concept.Template) error) (stored concept.Concept, changed bool, err error) {
	err = s.edit(ctx, bot, now, func(e *edit) error {
		templates, err := readTemplates(ctx, e.tx, selectConceptTemplates, bot.Tenant, bot.Name, c.Name)
		if err != nil {
			return err
		}
		if err := check(templates); err != nil {
			return err
		}
		stored, changed, err = e.putConcept(ctx, c)
		return err
	})
	return stored, changed, err
}

func (e *edit) putConcept(ctx context.Context, c concept.Concept) (stored concept.Concept, changed bool, err error) {
	old, err := readConcepts(ctx, e.tx, selectConcept, e.bot.Tenant, e.bot.Name, c.Name)
	if err != nil {
		return c, false, err
	}
	stored = c
	stored.Version, stored.Updated = 1, e.now.UTC().Truncate(time.Microsecond)
	if len(old) == 1 {
		if same := old[0]; sameConcept(same, c) {
			same.BuiltIn = c.BuiltIn
			return same, false, nil
		}
		stored.Version = old[0].Version + 1
	}
	e.record(c.Name, "concept", stored.Version, map[string]any{
		"description": c.Description, "schema": c.Schema, "values": c.Static, "provider": c.Provider, "priority": c.Priority, "enabled": !c.Disabled,
		"slots": json.RawMessage(cmp.Or(c.Slots, "[]")), "cool_down": c.CoolDown,
	})
	return stored, true, e.tx.Upsert(ctx, "tbl_l3_concept_repo",
		[]string{"tenant", "bot", "concept_id", "description", "metadata_schema", "static_payload", "provider_address", "priority", "disabled", "slots", "cool_down", "version", "updated_at"},
		[]string{"tenant", "bot", "concept_id"},
		replace("description", "metadata_schema", "static_payload", "provider_address", "priority", "disabled", "slots", "cool_down", "version", "updated_at"),
		[][]any{{e.bot.Tenant, e.bot.Name, c.Name, c.Description, c.Schema, c.Static, c.Provider, int64(c.Priority), flag(c.Disabled), c.Slots, int64(c.CoolDown), int64(stored.Version), stored.Updated.UnixMicro()}})
}

func sameConcept(a, b concept.Concept) bool {
	return a.Description == b.Description && a.Schema == b.Schema && a.Static == b.Static && a.Provider == b.Provider &&
		a.Priority == b.Priority && a.Disabled == b.Disabled && a.Slots == b.Slots && a.CoolDown == b.CoolDown
}

// DeleteConcept removes a concept with its templates and examples. It reports whether there was one.
func (s *Store) DeleteConcept(ctx context.Context, bot concept.Bot, name string, now time.Time) (found bool, err error) {
	err = s.edit(ctx, bot, now, func(e *edit) error {
		if found, err = e.deleteConcept(ctx, name); err != nil {
			return err
		}
		return lockPointer(ctx, e.tx, bot, true)
	})
	return found, err
}

// deleteConcept leaves it to the caller to say that the examples changed.
func (e *edit) deleteConcept(ctx context.Context, name string) (found bool, err error) {
	for _, table := range []string{"tbl_l3_concept_repo", "tbl_l3_verbal_templates", "tbl_l3_concept_examples"} {
		n, err := e.tx.Exec(ctx, `DELETE FROM `+table+` WHERE tenant = ? AND bot = ? AND concept_id = ?`, e.bot.Tenant, e.bot.Name, name)
		if err != nil {
			return false, err
		}
		found = found || table == "tbl_l3_concept_repo" && n > 0
	}
	if found {
		e.record(name, "concept", 0, nil)
	}
	return found, nil
}

const (
	templateColumns        = `concept_id, language_code, name, template_id, template_string, weight, condition_text, asks, tags, version`
	selectTemplates        = `SELECT ` + templateColumns + ` FROM tbl_l3_verbal_templates WHERE tenant = ? AND bot = ? ORDER BY concept_id, language_code, name`
	selectConceptTemplates = `SELECT ` + templateColumns + ` FROM tbl_l3_verbal_templates WHERE tenant = ? AND bot = ? AND concept_id = ? ORDER BY language_code, name`
	selectTemplate         = `SELECT ` + templateColumns + ` FROM tbl_l3_verbal_templates WHERE tenant = ? AND bot = ? AND concept_id = ? AND language_code = ? AND name = ?`
	deleteTemplate         = `DELETE FROM tbl_l3_verbal_templates WHERE tenant = ? AND bot = ? AND concept_id = ? AND language_code = ? AND name = ?`
)

func readTemplates(ctx context.Context, q database.Querier, query string, args ...any) (out []concept.Template, err error) {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var t concept.Template
		if err := rows.Scan(&t.Concept, &t.Language, &t.Name, &t.ID, &t.Text, &t.Weight, &t.Condition, &t.Asks, &t.Tags, &t.Version); err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, rows.Err()
}

// PutTemplate stores a template as the next version of what is there, with the given id when it is new; an equal
// one changes nothing. Check is called with the concept, nil when none is stored, and may refuse.
func (s *Store) PutTemplate(ctx context.Context, bot concept.Bot, t concept.Template, now time.Time, check func(*concept.Concept) error) (stored concept.Template, changed bool, err error) {
	err = s.edit(ctx, bot, now, func(e *edit) error {
		owner, err := readConcepts(ctx, e.tx, selectConcept, bot.Tenant, bot.Name, t.Concept)
		if err != nil {
			return err
		}
		var c *concept.Concept
		if len(owner) == 1 {
			c = &owner[0]
		}
		if err := check(c); err != nil {
			return err
		}
		stored, changed, err = e.putTemplate(ctx, t)
		return err
	})
	return stored, changed, err
}

func (e *edit) putTemplate(ctx context.Context, t concept.Template) (stored concept.Template, changed bool, err error) {
	old, err := readTemplates(ctx, e.tx, selectTemplate, e.bot.Tenant, e.bot.Name, t.Concept, t.Language, t.Name)
	if err != nil {
		return t, false, err
	}
	stored = t
	stored.Version = 1
	if len(old) == 1 {
		if same := old[0]; same.Text == t.Text && same.Weight == t.Weight && same.Condition == t.Condition && same.Asks == t.Asks && same.Tags == t.Tags {
			return same, false, nil
		}
		stored.ID, stored.Version = old[0].ID, old[0].Version+1
	}
	e.record(t.Concept, TemplateName(t.Language, t.Name), stored.Version, map[string]any{
		"id": stored.ID, "text": t.Text, "weight": t.Weight, "when": t.Condition, "asks": t.Asks, "tags": t.Tags,
	})
	return stored, true, e.tx.Upsert(ctx, "tbl_l3_verbal_templates",
		[]string{"tenant", "bot", "concept_id", "language_code", "name", "template_id", "template_string", "weight", "condition_text", "asks", "tags", "version"},
		[]string{"tenant", "bot", "concept_id", "language_code", "name"},
		replace("template_id", "template_string", "weight", "condition_text", "asks", "tags", "version"),
		[][]any{{e.bot.Tenant, e.bot.Name, t.Concept, t.Language, t.Name, stored.ID, t.Text, t.Weight, t.Condition, t.Asks, t.Tags, int64(stored.Version)}})
}

// DeleteTemplate removes a template and reports whether there was one.
func (s *Store) DeleteTemplate(ctx context.Context, bot concept.Bot, conceptName, language, name string, now time.Time) (found bool, err error) {
	err = s.edit(ctx, bot, now, func(e *edit) error {
		found, err = e.deleteTemplate(ctx, conceptName, language, name)
		return err
	})
	return found, err
}

func (e *edit) deleteTemplate(ctx context.Context, conceptName, language, name string) (found bool, err error) {
	n, err := e.tx.Exec(ctx, deleteTemplate, e.bot.Tenant, e.bot.Name, conceptName, language, name)
	if n > 0 {
		e.record(conceptName, TemplateName(language, name), 0, nil)
	}
	return n > 0, err
}

// TemplateName is a template as the history names it.
func TemplateName(language, name string) string {
	if language == "" {
		return "template " + name
	}
	return "template " + language + "/" + name
}

func replace(columns ...string) []database.Assign {
	out := make([]database.Assign, len(columns))
	for i, c := range columns {
		out[i] = database.Assign{Column: c}
	}
	return out
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
