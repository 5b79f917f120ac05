// Package pagetoken makes the opaque tokens with which a list goes on where its last page ended.
//
// A token holds a position (the sort key of the last row) and a fingerprint of the query that it belongs to, so
// that a token of another query is refused instead of giving a wrong page.
package pagetoken

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"dbslm/pkg/errors"

	"github.com/cespare/xxhash/v2"
)

const (
	// DefaultSize is the page size when a request names none.
	DefaultSize = 100
	// MaxSize is the largest page.
	MaxSize = 1000
)

// Size is the number of rows of a page: what was asked for within bounds, DefaultSize for 0.
func Size(asked int32) int {
	switch {
	case asked <= 0:
		return DefaultSize
	case asked > MaxSize:
		return MaxSize
	}
	return int(asked)
}

type token struct {
	Query    uint64   `json:"q"`
	Position []string `json:"p"`
}

// Encode returns the token of the page after a position. The query is everything that decides which rows are
// listed and in what order: the method's name and its filters.
func Encode(query []string, position ...string) string {
	body, err := json.Marshal(token{fingerprint(query), position})
	if err != nil {
		return "" // strings and a number always marshal
	}
	return base64.RawURLEncoding.EncodeToString(body)
}

// Decode returns the position of a token made by Encode for the same query and number of strings; nil for the
// empty token. Any other token is InvalidArgument.
func Decode(text string, query []string, length int) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	var t token
	body, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(body, &t)
	}
	if err != nil || len(t.Position) != length {
		return nil, Damaged()
	}
	if t.Query != fingerprint(query) {
		return nil, invalid("the page token belongs to another query; begin again without one")
	}
	return t.Position, nil
}

// Place returns the key of a token made by Cut for the same query; "" for the empty token. Any other token is InvalidArgument.
func Place(text string, query []string) (string, error) {
	position, err := Decode(text, query, 1)
	if position == nil {
		return "", err
	}
	return position[0], nil
}

// Cut makes a page of rows that were read with a limit of one more than its size: the rows of the page, and the token of the
// page after it, "" when this is the last. The key of a row is what the next page begins behind.
func Cut[Row any](query []string, found []Row, size int, key func(Row) string) (page []Row, next string) {
	if len(found) <= size {
		return found, ""
	}
	return found[:size], Encode(query, key(found[size-1]))
}

// Damaged is the error for a token whose position cannot be what the list made.
func Damaged() error {
	return invalid("the page token is damaged; begin again without one")
}

func invalid(text string) error {
	return errors.New(errors.InvalidArgument, "BAD_PAGE_TOKEN", "%s", text).Field("page_token", "not a token of this query")
}

func fingerprint(query []string) uint64 {
	return xxhash.Sum64String(strings.Join(query, "\x00"))
}
