package store

import (
	"cmp"
	"encoding/binary"
	"io"
	"math"
	"strconv"

	"dbslm/pkg/errors"
	"dbslm/services/ngram"
	"dbslm/services/ngram/contexthash"
	"dbslm/services/ngram/exchange"
	"dbslm/services/ngram/extsort"
)

// grams collects the n-grams of a file in any order and gives them back in the order of the tables, in bounded memory:
//
//	byContext  of order n: context, last token, value, place           the rows of order n
//	byOwn      hash of the n-gram as a context, who it is, its weight  the contexts of order n+1
//	bySuffix   hash of the n-gram without its oldest token, place      for checks, and for adjusted counts
type grams struct {
	hash   contexthash.Func
	limit  int // bytes of memory for one sorter
	orders []*gramOrder
}

type gramOrder struct{ byContext, byOwn, bySuffix *extsort.Sorter }

// Offsets in the records. Hashes are stored so that their bytes ascend as they do.
const (
	contextWidth = 8 + 4 + 8 + 8             // context, token, value, place
	ownWidth     = 8 + 8 + 4 + 4 + 8 + 8 + 8 // own, context, token, oldest, parent, weight, place
	suffixWidth  = 8 + 8                     // parent, place
)

// sortMemory bounds what sorting takes altogether.
const sortMemory = 96 << 20

func newGrams(hash contexthash.Func, orders int) *grams {
	return &grams{hash: hash, limit: max(256<<10, sortMemory/(3*orders))}
}

func (g *grams) close() {
	for _, o := range g.orders {
		for _, s := range []*extsort.Sorter{o.byContext, o.byOwn, o.bySuffix} {
			_ = s.Close() // temporary
		}
	}
}

func putHash(b []byte, hash int64) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(hash)^1<<63)
}

func hashAt(b []byte) int64 { return int64(binary.BigEndian.Uint64(b) ^ 1<<63) }

// place packs a position; columns end at a million.
func place(p exchange.Position) uint64 { return uint64(p.Line)<<20 | uint64(min(p.Column, 1<<20-1)) }

func position(place uint64) exchange.Position {
	return exchange.Position{Line: int(place >> 20), Column: int(place & (1<<20 - 1))}
}

// grow makes room for orders up to n.
func (g *grams) grow(n int) {
	for len(g.orders) < n {
		g.orders = append(g.orders, &gramOrder{extsort.New(contextWidth, g.limit), extsort.New(ownWidth, g.limit), extsort.New(suffixWidth, g.limit)})
	}
}

// add takes an n-gram with its value (the bits of a logarithm, or a count) and its weight as a context. <s> alone is only a
// context.
func (g *grams) add(tokens []uint32, value, weight uint64, at exchange.Position) error {
	n := len(tokens)
	g.grow(n)
	o := g.orders[n-1]
	context, token, parent := g.hash(tokens[:n-1]), tokens[n-1], g.hash(tokens[1:])
	var record [ownWidth]byte
	if n > 1 || token != ngram.SentenceStart {
		b := binary.BigEndian.AppendUint32(putHash(record[:0], context), token)
		b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, value), place(at))
		if err := o.byContext.Add(b); err != nil {
			return err
		}
	}
	if n < ngram.MaxOrder {
		b := putHash(putHash(record[:0], g.hash(tokens)), context)
		b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, token), tokens[0])
		b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(putHash(b, parent), weight), place(at))
		if err := o.byOwn.Add(b); err != nil {
			return err
		}
	}
	if n == 1 {
		return nil
	}
	return o.bySuffix.Add(binary.BigEndian.AppendUint64(putHash(record[:0], parent), place(at)))
}

// gram is a record of byContext.
type gram struct {
	context int64
	token   uint32
	value   uint64
	place   uint64
}

func gramOf(b []byte) gram {
	return gram{hashAt(b), binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint64(b[12:]), binary.BigEndian.Uint64(b[20:])}
}

// owner is a record of byOwn.
type owner struct {
	own, context  int64
	token, oldest uint32
	parent        int64
	weight, place uint64
}

func ownerOf(b []byte) owner {
	return owner{
		hashAt(b), hashAt(b[8:]), binary.BigEndian.Uint32(b[16:]), binary.BigEndian.Uint32(b[20:]), hashAt(b[24:]),
		binary.BigEndian.Uint64(b[32:]), binary.BigEndian.Uint64(b[40:]),
	}
}

func (o owner) start() bool { return o.oldest == ngram.SentenceStart }

// pull reads decoded records one ahead.
type pull[T any] struct {
	from *extsort.Reader
	of   func([]byte) T
	at   T
	ok   bool // there is a record at
	err  error
}

func pullFrom[T any](s *extsort.Sorter, of func([]byte) T) *pull[T] {
	p := &pull[T]{of: of}
	if p.from, p.err = s.Sorted(); p.err == nil {
		p.next()
	}
	return p
}

func (p *pull[T]) next() {
	record, err := p.from.Next()
	if p.ok = err == nil; p.ok {
		p.at = p.of(record)
	} else if err != io.EOF {
		p.err = err
	}
}

// suffix is a record of bySuffix.
type suffix struct {
	own   int64
	place uint64
}

func suffixOf(b []byte) suffix { return suffix{hashAt(b), binary.BigEndian.Uint64(b[8:])} }

// complaint keeps the first thing that is wrong in the order of the file.
type complaint struct {
	place           uint64
	expected, found string
}

func (c *complaint) add(place uint64, expected, found string) {
	if c.place == 0 || place < c.place {
		*c = complaint{place, expected, found}
	}
}

// check looks for n-grams that stand twice or lack a shorter n-gram they need, and reports the first in the file.
func (g *grams) check() error {
	var c complaint
	for i, o := range g.orders {
		if err := g.checkOrder(i+1, o, &c); err != nil {
			return err
		}
	}
	if c.place != 0 {
		return exchange.Malformed(position(c.place), c.expected, c.found)
	}
	return nil
}

func (g *grams) checkOrder(n int, o *gramOrder, c *complaint) error {
	var before gram
	rows := pullFrom(o.byContext, gramOf)
	for first := true; rows.ok; rows.next() {
		if !first && rows.at.context == before.context && rows.at.token == before.token {
			one, two := min(before.place, rows.at.place), max(before.place, rows.at.place)
			c.add(two, "every n-gram once", "the same n-gram as in line "+strconv.Itoa(position(one).Line))
		}
		before, first = rows.at, false
	}
	if rows.err != nil {
		return rows.err
	}
	if n < len(g.orders) {
		if err := collisions(n, o); err != nil {
			return err
		}
	}
	if n == 1 {
		return nil
	}
	below := g.orders[n-2].byOwn
	order := strconv.Itoa(n - 1)
	prefixes := pullFrom(o.byContext, gramOf)
	err := missing(prefixes, func(r gram) (int64, uint64) { return r.context, r.place }, below, func(place uint64) {
		c.add(place, "words of which all but the last are an n-gram of order "+order, "none such")
	})
	if err != nil {
		return err
	}
	suffixes := pullFrom(o.bySuffix, suffixOf)
	return missing(suffixes, func(r suffix) (int64, uint64) { return r.own, r.place }, below, func(place uint64) {
		c.add(place, "words of which all but the first are an n-gram of order "+order, "none such")
	})
}

// missing reports the records whose hash is no n-gram of the order below.
func missing[T any](records *pull[T], of func(T) (hash int64, place uint64), below *extsort.Sorter, report func(place uint64)) error {
	owners := pullFrom(below, ownerOf)
	for ; records.ok; records.next() {
		hash, place := of(records.at)
		for owners.ok && owners.at.own < hash {
			owners.next()
		}
		if !owners.ok || owners.at.own != hash {
			report(place)
		}
	}
	return cmp.Or(records.err, owners.err)
}

// collisions finds two n-grams of one hash.
func collisions(n int, o *gramOrder) error {
	owners := pullFrom(o.byOwn, ownerOf)
	var before owner
	for first := true; owners.ok; owners.next() {
		if !first && owners.at.own == before.own && (owners.at.context != before.context || owners.at.token != before.token) {
			return errors.New(errors.FailedPrecondition, "CONTEXT_HASH_COLLISION",
				"the n-grams of order %d in lines %d and %d have the same hash as contexts; nothing was imported, leave one of them out",
				n, position(before.place).Line, position(owners.at.place).Line)
		}
		before, first = owners.at, false
	}
	return owners.err
}

// adjusted computes the adjusted counts of an order below the highest: how many different tokens stand before an n-gram, and
// the count itself behind <s>. The records are like those of byContext, with the adjusted count as value.
func (g *grams) adjusted(n int) (*extsort.Sorter, error) {
	out := extsort.New(contextWidth, g.limit)
	owners := pullFrom(g.orders[n-1].byOwn, ownerOf)
	above := pullFrom(g.orders[n].bySuffix, suffixOf)
	var c complaint
	for ; owners.ok; owners.next() {
		o := owners.at
		count := uint64(0)
		for above.ok && above.at.own < o.own {
			above.next()
		}
		for above.ok && above.at.own == o.own {
			count++
			above.next()
		}
		switch {
		case n == 1 && o.token == ngram.SentenceStart:
			continue
		case o.start():
			count = o.weight
		case count == 0:
			c.add(o.place, "an n-gram of order "+strconv.Itoa(n+1)+" that ends in this one, for its adjusted count", "none")
			continue
		}
		var record [contextWidth]byte
		b := binary.BigEndian.AppendUint32(putHash(record[:0], o.context), o.token)
		b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, count), o.place)
		if err := out.Add(b); err != nil {
			return out, err
		}
	}
	if c.place != 0 {
		return out, exchange.Malformed(position(c.place), c.expected, c.found)
	}
	return out, cmp.Or(owners.err, above.err)
}

// each calls f for every context of order n in the order of the tables, with its followers, which are read from rows. With
// weights, a context without followers comes too if its weight is not 1. The slice is valid until f returns.
func (g *grams) each(n int, rows *extsort.Sorter, weights bool, f func(o owner, followers []gram) error) error {
	followers := pullFrom(rows, gramOf)
	var list []gram
	collect := func(hash int64) {
		list = list[:0]
		for ; followers.ok && followers.at.context == hash; followers.next() {
			list = append(list, followers.at)
		}
	}
	if n == 1 {
		empty := g.hash(nil)
		if collect(empty); followers.err != nil {
			return followers.err
		}
		return f(owner{own: empty}, list)
	}
	owners := pullFrom(g.orders[n-2].byOwn, ownerOf)
	for ; owners.ok; owners.next() {
		if collect(owners.at.own); len(list) == 0 && !(weights && math.Float64frombits(owners.at.weight) != 0) {
			continue
		}
		if err := f(owners.at, list); err != nil {
			return err
		}
	}
	return cmp.Or(followers.err, owners.err)
}
