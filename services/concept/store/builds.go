package store

import (
	"context"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/concept"
	"dbslm/services/concept/predict"
)

// KeptBuilds is how many builds of a bot are kept beside the published one.
const KeptBuilds = 8

// State says which build of a bot decides, and whether it is that of the examples of now.
type State struct {
	Version   int64  // of the bot; 0 for one that has only the built-in concepts
	Published uint32 // 0 for none
	Examples  int64  // version of the set of examples
	Built     int64  // that of the published build
	ByHand    bool   // builds are published by hand only
	Formula   int64  // of the published build
}

// Stale reports whether the published build should be replaced by one of the examples of now.
func (s State) Stale() bool {
	return s.Published == 0 || !s.ByHand && (s.Built != s.Examples || s.Formula != predict.Formula)
}

const selectState = `SELECT b.version, COALESCE(p.build_id, 0), COALESCE(p.examples_version, 0), COALESCE(p.by_hand, 0), COALESCE(c.examples_version, -1), COALESCE(c.formula, 0)
FROM tbl_l3_bots AS b LEFT JOIN tbl_l3_concept_pointers AS p ON p.tenant = b.tenant AND p.bot = b.bot
LEFT JOIN tbl_l3_concept_builds AS c ON c.build_id = p.build_id
WHERE b.tenant = ? AND b.bot = ?`

// State reads what decides for a bot now, in one read.
func (s *Store) State(ctx context.Context, bot concept.Bot) (State, error) {
	return readState(ctx, s.db, bot)
}

func readState(ctx context.Context, q database.Querier, bot concept.Bot) (st State, err error) {
	var byHand int64
	err = q.QueryRow(ctx, selectState, bot.Tenant, bot.Name).Scan(&st.Version, &st.Published, &st.Examples, &byHand, &st.Built, &st.Formula)
	if errors.Is(err, database.ErrNoRows) {
		return State{}, nil
	}
	st.ByHand = byHand != 0
	return st, err
}

var pointerColumns = []string{"tenant", "bot", "build_id", "examples_version", "by_hand"}

// lockPointer locks the bot's pointer for the rest of the transaction; with changed, its set of examples becomes another.
func lockPointer(ctx context.Context, tx *database.Tx, bot concept.Bot, changed bool) error {
	return tx.Upsert(ctx, "tbl_l3_concept_pointers", pointerColumns, pointerColumns[:2],
		[]database.Assign{{Column: "examples_version", Add: true}}, [][]any{{bot.Tenant, bot.Name, int64(0), flag(changed), int64(0)}})
}

const selectLastBuild = `SELECT build_id FROM tbl_l3_concept_pointers WHERE tenant = '' AND bot = ''`

func (s *Store) nextBuildID(ctx context.Context) (id uint32, err error) {
	err = s.db.InTx(ctx, func(tx *database.Tx) error {
		err := tx.Upsert(ctx, "tbl_l3_concept_pointers", pointerColumns, pointerColumns[:2],
			[]database.Assign{{Column: "build_id", Add: true}}, [][]any{{"", "", int64(1), int64(0), int64(0)}})
		if err != nil {
			return err
		}
		return tx.QueryRow(ctx, selectLastBuild).Scan(&id)
	})
	return id, err
}

// ExampleSet is all examples of a bot with the version of the set.
func (s *Store) ExampleSet(ctx context.Context, bot concept.Bot) (examples []concept.Example, version int64, err error) {
	err = s.db.InReadTx(ctx, func(tx *database.Tx) error {
		state, err := readState(ctx, tx, bot)
		if err != nil {
			return err
		}
		version = state.Examples
		examples, err = readExamples(ctx, tx, bot)
		return err
	})
	return examples, version, err
}

// Publishing says what becomes of a new build.
type Publishing int

// The ways.
const (
	Unpublished   Publishing = iota // kept; from now on builds are published by hand
	Published                       // it decides, and builds follow the examples again
	Automatically                   // it decides unless a newer one does by now, or somebody publishes by hand
)

const insertBuild = `INSERT INTO tbl_l3_concept_builds (build_id, tenant, bot, examples, concepts, examples_version, formula, scale, threshold, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

// AddBuild stores a model that was made of the set of examples of a version. All its rows appear at once. It returns the
// build's id, or 0 when it was to be published automatically and another was quicker.
func (s *Store) AddBuild(ctx context.Context, bot concept.Bot, m *predict.Model, version int64, how Publishing, now time.Time) (id uint32, err error) {
	reserved, err := s.nextBuildID(ctx)
	if err != nil {
		return 0, err
	}
	err = s.db.InTx(ctx, func(tx *database.Tx) error {
		id = reserved
		if err := writeModel(ctx, tx, int64(id), m); err != nil {
			return err
		}
		// The pointer is locked only now, so that adding examples does not wait for the rows.
		if err := lockPointer(ctx, tx, bot, false); err != nil {
			return err
		}
		state, err := readState(ctx, tx, bot)
		if err != nil {
			return err
		}
		if how == Automatically && state.Published != 0 && (state.ByHand || state.Formula == predict.Formula && state.Built >= version) {
			return errSuperseded
		}
		_, err = tx.Exec(ctx, insertBuild, id, bot.Tenant, bot.Name, m.Examples(), len(m.Concepts()), version, predict.Formula, m.Scale(), predict.Threshold, now.UnixMicro())
		if err != nil {
			return err
		}
		if how == Unpublished {
			return point(ctx, tx, bot, state.Published, true)
		}
		return point(ctx, tx, bot, id, false)
	})
	if errors.Is(err, errSuperseded) {
		return 0, nil
	}
	return id, err
}

var errSuperseded = errors.New(errors.Aborted, "BUILD_SUPERSEDED", "another build was published meanwhile")

const setPointer = `UPDATE tbl_l3_concept_pointers SET build_id = ?, by_hand = ? WHERE tenant = ? AND bot = ?`

func point(ctx context.Context, tx *database.Tx, bot concept.Bot, id uint32, byHand bool) error {
	_, err := tx.Exec(ctx, setPointer, id, flag(byHand), bot.Tenant, bot.Name)
	return err
}

// Publish makes a build the one that decides. Builds follow the examples again if it is that of the examples of now;
// with an older one they wait to be published by hand.
func (s *Store) Publish(ctx context.Context, bot concept.Bot, id uint32) (published concept.Build, err error) {
	err = s.db.InTx(ctx, func(tx *database.Tx) error {
		if err := lockPointer(ctx, tx, bot, false); err != nil {
			return err
		}
		state, err := readState(ctx, tx, bot)
		if err != nil {
			return err
		}
		if published, err = readBuild(ctx, tx, bot, id); err != nil {
			return err
		}
		published.Published = true
		return point(ctx, tx, bot, id, published.ExamplesVersion != state.Examples)
	})
	return published, err
}

const (
	buildColumns = `build_id, examples, concepts, examples_version, formula, scale, threshold, created_at`
	selectBuild  = `SELECT ` + buildColumns + ` FROM tbl_l3_concept_builds WHERE tenant = ? AND bot = ? AND build_id = ? AND dropped = 0`
	selectBuilds = `SELECT ` + buildColumns + ` FROM tbl_l3_concept_builds WHERE tenant = ? AND bot = ? AND build_id < ? AND dropped = 0 ORDER BY build_id DESC LIMIT ?`
)

func readBuilds(ctx context.Context, q database.Querier, query string, args ...any) (out []concept.Build, err error) {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var b concept.Build
		var created int64
		if err := rows.Scan(&b.ID, &b.Examples, &b.Concepts, &b.ExamplesVersion, &b.Formula, &b.Scale, &b.Threshold, &created); err != nil {
			return nil, err
		}
		b.Created = fromMicros(created)
		out = append(out, b)
	}
	return out, rows.Err()
}

func readBuild(ctx context.Context, q database.Querier, bot concept.Bot, id uint32) (concept.Build, error) {
	found, err := readBuilds(ctx, q, selectBuild, bot.Tenant, bot.Name, id)
	if err == nil && len(found) == 0 {
		err = errors.New(errors.NotFound, "CONCEPT_BUILD_NOT_FOUND", "bot %q has no build %d; it may have been dropped", bot.Name, id).With("bot", bot.Name)
	}
	if err != nil {
		return concept.Build{}, err
	}
	return found[0], nil
}

// Build returns a build of a bot; NotFound when it has none of that id, or no longer. Whether it is published is not told.
func (s *Store) Build(ctx context.Context, bot concept.Bot, id uint32) (concept.Build, error) {
	return readBuild(ctx, s.db, bot, id)
}

// ListBuilds returns up to limit builds of a bot older than before, newest first.
func (s *Store) ListBuilds(ctx context.Context, bot concept.Bot, before int64, limit int) ([]concept.Build, error) {
	state, err := s.State(ctx, bot)
	if err != nil {
		return nil, err
	}
	builds, err := readBuilds(ctx, s.db, selectBuilds, bot.Tenant, bot.Name, before, limit)
	for i := range builds {
		builds[i].Published = builds[i].ID == state.Published
	}
	return builds, err
}
