package database

import (
	"bytes"
	"io"
	"io/fs"
	"sort"
	"strings"

	"dbslm/pkg/errors"
)

// placeholders of migration files, by name: the text for MySQL and for SQLite.
var placeholders = map[string][2]string{
	"table_options":       {"ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC", "WITHOUT ROWID"},
	"rowid_table_options": {"ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC", ""},
	"create_view":         {"CREATE OR REPLACE VIEW", "CREATE VIEW IF NOT EXISTS"},
	"create_index":        {"CREATE INDEX", "CREATE INDEX IF NOT EXISTS"},
	"create_unique_index": {"CREATE UNIQUE INDEX", "CREATE UNIQUE INDEX IF NOT EXISTS"},
}

// Expand rewrites the text of a migration for one engine:
//
//	{{table_options}}          the end of CREATE TABLE: InnoDB with utf8mb4_bin, or WITHOUT ROWID
//	{{rowid_table_options}}    the same for tables with large blobs: an ordinary table on SQLite
//	{{create_view}} name AS …  made anew on MySQL, when absent on SQLite
//	{{create_index}} name ON … may be run again after an interruption on both; likewise {{create_unique_index}}
//	{{mysql}}…{{end}}          only there; likewise {{sqlite}}…{{end}}; blocks do not nest
//
// An unknown placeholder is an error.
func Expand(text string, d Dialect) (string, error) {
	var out strings.Builder
	only := Dialect(0) // inside a block: for which engine
	for {
		before, rest, found := strings.Cut(text, "{{")
		if only == 0 || only == d {
			out.WriteString(before)
		}
		if !found {
			break
		}
		name, after, closed := strings.Cut(rest, "}}")
		if !closed {
			return "", errors.New(errors.Internal, reasonStatement, "a {{ of a migration is never closed")
		}
		text = after
		switch value, known := placeholders[name]; {
		case name == "mysql" && only == 0:
			only = MySQL
		case name == "sqlite" && only == 0:
			only = SQLite
		case name == "end" && only != 0:
			only = 0
		case !known:
			return "", errors.New(errors.Internal, reasonStatement, "a migration uses {{%s}}, which is unknown or out of place there", name)
		case only == 0 || only == d:
			if d == MySQL {
				out.WriteString(value[0])
			} else {
				out.WriteString(value[1])
			}
		}
	}
	if only != 0 {
		return "", errors.New(errors.Internal, reasonStatement, "a {{%s}} block of a migration has no {{end}}", only)
	}
	return out.String(), nil
}

// Migration is one migration file of a schema, expanded.
type Migration struct {
	Version int64  // the number before the first underscore
	Name    string // file name
	SQL     string // the whole file
}

// ExpandedMigrations lists the schema's migrations as engine d gets them, in order.
func (s Schema) ExpandedMigrations(d Dialect) ([]Migration, error) {
	names, err := fs.Glob(s.Migrations, "*.sql")
	if err != nil {
		return nil, errors.Wrap(err, errors.Internal, reasonStatement, "listing the migrations of %s", s.Name)
	}
	if len(names) == 0 {
		return nil, errors.New(errors.Internal, reasonStatement, "schema %s has no migrations at the root of its file system", s.Name)
	}
	sort.Strings(names)
	migrations := make([]Migration, 0, len(names))
	for _, name := range names {
		version, err := migrationVersion(name)
		if err != nil {
			return nil, err
		}
		data, err := fs.ReadFile(s.Migrations, name)
		if err != nil {
			return nil, errors.Wrap(err, errors.Internal, reasonStatement, "reading migration %s of %s", name, s.Name)
		}
		sql, err := Expand(string(bytes.TrimPrefix(data, []byte("\ufeff"))), d)
		if err != nil {
			return nil, errors.Wrap(err, errors.Internal, reasonStatement, "migration %s of %s", name, s.Name)
		}
		migrations = append(migrations, Migration{Version: version, Name: name, SQL: sql})
	}
	return migrations, nil
}

func migrationVersion(name string) (int64, error) {
	digits, _, ok := strings.Cut(name, "_")
	version := int64(0)
	for _, c := range digits {
		if c < '0' || c > '9' || len(digits) > 9 {
			ok = false
			break
		}
		version = 10*version + int64(c-'0')
	}
	if !ok || version == 0 {
		return 0, errors.New(errors.Internal, reasonStatement, "migration file %q is not called NNNN_name.sql", name)
	}
	return version, nil
}

// expandFS shows the migration files as one engine gets them.
type expandFS struct {
	fs.FS
	dialect Dialect
}

// Open implements fs.FS.
func (f expandFS) Open(name string) (fs.File, error) {
	file, err := f.FS.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil || info.IsDir() {
		return file, err
	}
	data, err := io.ReadAll(file)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, err
	}
	text, err := Expand(string(data), f.dialect)
	if err != nil {
		return nil, &fs.PathError{Op: "expand", Path: name, Err: err}
	}
	return expandedFile{strings.NewReader(text), info}, nil
}

type expandedFile struct {
	*strings.Reader
	info fs.FileInfo
}

func (f expandedFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f expandedFile) Close() error               { return nil }
