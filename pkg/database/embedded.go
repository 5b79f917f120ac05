package database

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"

	"dbslm/pkg/errors"
)

// ownFile is the pattern of every file this package makes in a store's directory.
const ownFile = "dbslm_*.sqlite3"

// checkDirectory refuses what is no directory of ours, with a text that says what it is and what to do. It never opens a
// schema file itself, nor its -wal or -shm: closing any descriptor of a file drops all of SQLite's locks this process holds on it.
func checkDirectory(target Target, dir, file string, mustExist bool) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist) && mustExist:
		return missing("%s does not exist; check the path, or create it with: dbslm train --db %s FILE… (or: dbslm migrate --db %s)", target, target.word(), target.word())
	case errors.Is(err, os.ErrNotExist):
		return nil // Migrate makes it
	case err != nil:
		return errors.Wrap(err, errors.FailedPrecondition, reasonTarget, "cannot look at %s; check its permissions and those of the directories above it", target)
	case !info.IsDir():
		return notADirectory(target, dir)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return errors.Wrap(err, errors.FailedPrecondition, reasonTarget, "cannot read the directory %s; check its owner and mode", target)
	}
	own, foreign := false, ""
	for _, e := range entries {
		name := e.Name()
		if ok, _ := filepath.Match(ownFile+"*", name); ok { // with -wal and -shm, which hold locks too
			own = own || strings.HasSuffix(name, ".sqlite3")
		} else if foreign == "" && e.Type().IsRegular() && isSQLite(filepath.Join(dir, name)) {
			foreign = name
		}
	}
	if !own && foreign != "" {
		return errors.New(errors.FailedPrecondition, reasonForeign, "%s holds %s, an SQLite file that DB-SLM did not make (%s); give DB-SLM a directory of its own, for example %s",
			target, foreign, prototypeHint, filepath.Join(target.dir, "dbslm"))
	}
	if _, err := os.Stat(file); err != nil && mustExist {
		if !own {
			return missing("%s holds no DB-SLM store; check the path, or create one there with: dbslm train --db %s FILE… (or: dbslm migrate --db %s)", target, target.word(), target.word())
		}
		return missing("%s has no %s; bring the store up to date with: dbslm migrate --db %s", target, filepath.Base(file), target.word())
	}
	return writable(target, dir)
}

const prototypeHint = "a store of the original prototype? Its models cannot be read; train again from the texts"

func missing(format string, args ...any) error {
	return errors.New(errors.FailedPrecondition, reasonMissing, format, args...)
}

// notADirectory explains a file given as --db.
func notADirectory(target Target, file string) error {
	if ok, _ := filepath.Match(ownFile, filepath.Base(file)); ok {
		return errors.New(errors.FailedPrecondition, reasonTarget, "%s is one file of a store; --db takes its directory: %s", target, filepath.Dir(target.dir))
	}
	if isSQLite(file) {
		suggestion := filepath.Join(filepath.Dir(target.dir), "dbslm")
		return errors.New(errors.FailedPrecondition, reasonForeign, "%s is an SQLite file (%s); --db takes a directory: dbslm train --db %s FILE…",
			target, prototypeHint, suggestion)
	}
	return errors.New(errors.FailedPrecondition, reasonTarget, "%s is a file; --db takes a directory (it is made when it does not exist) or a mysql:// URL", target)
}

// isSQLite reads the first bytes. Only for files that are not ours.
func isSQLite(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	const magic = "SQLite format 3\x00"
	head := make([]byte, len(magic))
	_, err = io.ReadFull(f, head)
	return err == nil && string(head) == magic
}

// writable tries to make a file: even a reader needs to, for SQLite's shared memory.
func writable(target Target, dir string) error {
	f, err := os.CreateTemp(dir, ".dbslm-*")
	if err != nil {
		return errors.Wrap(err, errors.FailedPrecondition, reasonReadOnly, "cannot write in the directory %s; DB-SLM needs to, even to read: check its owner and mode, or whether the file system is read-only", target)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// checkApplication refuses a schema file of another program. Files made before the mark was written have neither mark nor tables.
func (db *DB) checkApplication(ctx context.Context) error {
	var id, tables int64
	if err := db.QueryRow(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		if strings.Contains(err.Error(), "not a database") {
			return errors.Wrap(err, errors.FailedPrecondition, reasonForeign, "%s is no SQLite file; move it away or choose another directory", db.lite.file)
		}
		return err
	}
	if id == applicationID {
		return nil
	}
	if err := db.QueryRow(ctx, "SELECT COUNT(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return err
	}
	if id != 0 || tables != 0 {
		return errors.New(errors.FailedPrecondition, reasonForeign, "%s was not made by DB-SLM (%s); choose another directory", db.lite.file, prototypeHint)
	}
	return nil
}
