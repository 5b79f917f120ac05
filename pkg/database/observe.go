package database

import (
	"context"
	"strings"
	"time"
)

// Statement is what an Observer learns of one statement. It holds no arguments.
type Statement struct {
	// Schema is the service's schema, without prefix: "dbslm_ngram".
	Schema string
	// Name is short and of few values, fit for a metric label: the verb and the first table, "SELECT tbl_corpus".
	Name string
	// SQL is the statement's text with its placeholders.
	SQL string
	// Duration runs from sending to the last row read.
	Duration time.Duration
	// Rows is how many rows were read or affected.
	Rows int64
	// Err is nil or the mapped error.
	Err error
}

// Observer is told of every statement after it ended. It is called on the statement's goroutine, possibly from many at once.
type Observer interface {
	Statement(ctx context.Context, s Statement)
}

// observeFunc reports a statement that began at start; the zero func of an unobserved DB does nothing.
type observeFunc func(ctx context.Context, query string, start time.Time, rows int64, err error)

func observer(o Observer, schema string) observeFunc {
	if o == nil {
		return func(context.Context, string, time.Time, int64, error) {}
	}
	return func(ctx context.Context, query string, start time.Time, rows int64, err error) {
		o.Statement(ctx, Statement{
			Schema: schema, Name: statementName(query), SQL: query,
			Duration: time.Since(start), Rows: rows, Err: err,
		})
	}
}

// statementName is the verb and the first word after FROM, INTO, UPDATE or TABLE.
func statementName(query string) string {
	verb, rest := nextWord(query)
	verb = strings.ToUpper(verb)
	if verb == "UPDATE" {
		table, _ := nextWord(rest)
		return verb + " " + table
	}
	for rest != "" {
		var w string
		w, rest = nextWord(rest)
		switch strings.ToUpper(w) {
		case "FROM", "INTO", "TABLE":
			table, more := nextWord(rest)
			if strings.EqualFold(table, "TABLE") { // LOAD DATA … INTO TABLE t
				table, _ = nextWord(more)
			}
			if table == "" { // FROM (SELECT …
				continue
			}
			return verb + " " + table
		}
	}
	return verb
}

func nextWord(s string) (word, rest string) {
	isWord := func(c byte) bool {
		return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
	}
	i := 0
	for i < len(s) && !isWord(s[i]) {
		if s[i] == '(' && i > 0 && word == "" { // a subquery or function: no table here
			return "", s[i+1:]
		}
		i++
	}
	j := i
	for j < len(s) && isWord(s[j]) {
		j++
	}
	return s[i:j], s[j:]
}
