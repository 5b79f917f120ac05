// Package pagetoken makes the opaque texts with which a list goes on where a page ended. A token holds the place in the
// list's order, so pages stay right while rows come and go, and a digest of the query, so a token of one list is refused by
// another instead of giving rows that nobody asked for. It is no secret and grants nothing: every page checks its tenant.
package pagetoken

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"

	"dbslm/pkg/errors"
	"dbslm/services/memory"
)

// Query identifies a list: the method and everything it filters and orders by, in a fixed order. Not the page size, which may
// change between pages.
type Query []string

const digestBytes = 8

func (q Query) digest() [digestBytes]byte {
	h := sha256.New()
	for _, part := range q {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write([]byte(part))
	}
	return [digestBytes]byte(h.Sum(nil))
}

// Encode returns the token for the page of query that begins after the given place.
func Encode[Place any](query Query, after Place) (string, error) {
	body, err := json.Marshal(after)
	if err != nil {
		return "", errors.Wrap(err, errors.Internal, memory.ReasonPageToken, "the next page cannot be named")
	}
	digest := query.digest()
	return base64.RawURLEncoding.EncodeToString(append(digest[:], body...)), nil
}

// Decode returns the place that Encode was given, or nil for the empty token, which is the first page. A token of another
// query, or none at all, is InvalidArgument with reason PAGE_TOKEN.
func Decode[Place any](query Query, token string) (*Place, error) {
	if token == "" {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) < digestBytes {
		return nil, refused()
	}
	if [digestBytes]byte(raw) != query.digest() {
		return nil, refused()
	}
	place := new(Place)
	if err := json.Unmarshal(raw[digestBytes:], place); err != nil {
		return nil, refused()
	}
	return place, nil
}

func refused() error {
	return errors.New(errors.InvalidArgument, memory.ReasonPageToken,
		"page_token is not one of this list; send the next_page_token of the page before, with the same filters, or leave it out to begin again").
		Field("page_token", "is not a token of this list")
}
