package server

import (
	"strconv"

	"dbslm/pkg/pagetoken"
	"dbslm/services/memory/store"
)

// Places in lists travel as page tokens: what is not a number where one must be was not made by this service.

func afterTime(token string, query []string) (*store.After, error) {
	position, err := pagetoken.Decode(token, query, 2)
	if position == nil {
		return nil, err
	}
	at, err := number(position[0])
	return &store.After{At: at, ID: position[1]}, err
}

func timeToken(query []string, next *store.After) string {
	if next == nil {
		return ""
	}
	return pagetoken.Encode(query, strconv.FormatInt(next.At, 10), next.ID)
}

func afterMessage(token string, query []string) (*store.AfterMessage, error) {
	position, err := pagetoken.Decode(token, query, 2)
	if position == nil {
		return nil, err
	}
	seq, err := number(position[0])
	if err != nil {
		return nil, err
	}
	end, err := number(position[1])
	return &store.AfterMessage{Seq: seq, End: end}, err
}

func messageToken(query []string, next *store.AfterMessage) string {
	if next == nil {
		return ""
	}
	return pagetoken.Encode(query, strconv.FormatInt(next.Seq, 10), strconv.FormatInt(next.End, 10))
}

func afterID(token string, query []string) (string, error) {
	id, err := pagetoken.Place(token, query)
	if id != "" && checkIDs("", id) != nil {
		return "", pagetoken.Damaged()
	}
	return id, err
}

// idToken names the page after the last of a list, if there is more.
func idToken[Row any](query []string, more bool, page []Row, id func(Row) string) string {
	if !more {
		return ""
	}
	return pagetoken.Encode(query, id(page[len(page)-1]))
}

func number(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, pagetoken.Damaged()
	}
	return n, nil
}
