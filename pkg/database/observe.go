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

// statementName is the verb and the first table: the word after FROM, INTO, UPDATE or TABLE, unless a subquery stands there.
func statementName(query string) string {
	verb, rest := nextWord(query)
	verb = strings.ToUpper(verb)
	before := verb
	for {
		var word string
		word, rest = nextWord(rest)
		if word == "" {
			return verb
		}
		switch before {
		case "FROM", "INTO", "UPDATE", "TABLE":
			if upper := strings.ToUpper(word); upper != "SELECT" && upper != "TABLE" && upper != "IF" {
				return verb + " " + word
			}
		}
		before = strings.ToUpper(word)
	}
}

// nextWord is the first run of letters, digits and underscores in s, and what follows it.
func nextWord(s string) (word, rest string) {
	isWord := func(r rune) bool {
		return r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	}
	start := strings.IndexFunc(s, isWord)
	if start < 0 {
		return "", ""
	}
	s = s[start:]
	end := strings.IndexFunc(s, func(r rune) bool { return !isWord(r) })
	if end < 0 {
		return s, ""
	}
	return s[:end], s[end:]
}
