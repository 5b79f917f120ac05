package decoding

import "slices"

// pairs are marks that open and close. Straight quotes do both and apostrophes neither, so they are not here.
var pairs = [...]struct{ opens, closes string }{{"“", "”"}, {"(", ")"}, {"[", "]"}}

// balance keeps quotation marks and brackets in pairs: an n-gram does not remember what was opened before its context.
type balance struct {
	opens, closes [len(pairs)]uint32 // ids; 0 where the model has no such token
	open          []int              // pairs that are open, the innermost last
}

func newBalance(find func(token string) uint32) *balance {
	b := &balance{}
	for i, pair := range pairs {
		b.opens[i], b.closes[i] = find(pair.opens), find(pair.closes)
	}
	return b
}

func (b *balance) add(token uint32) {
	if token == 0 {
		return
	}
	if i := slices.Index(b.opens[:], token); i >= 0 {
		b.open = append(b.open, i)
	} else if i := slices.Index(b.closes[:], token); i >= 0 && b.innermost(i) {
		b.open = b.open[:len(b.open)-1]
	}
}

func (b *balance) innermost(i int) bool { return len(b.open) > 0 && b.open[len(b.open)-1] == i }

// apply bans marks that would close what is not open, or open what is open already.
func (b *balance) apply(d *Distribution) {
	for i := range pairs {
		if b.closes[i] != 0 && !b.innermost(i) {
			d.Ban(b.closes[i])
		}
		if b.opens[i] != 0 && slices.Contains(b.open, i) {
			d.Ban(b.opens[i])
		}
	}
}

// missing lists the marks that are still to be closed, innermost first.
func (b *balance) missing() []string {
	var missing []string
	for _, i := range slices.Backward(b.open) {
		missing = append(missing, pairs[i].closes)
	}
	return missing
}

func (b *balance) clone() *balance {
	c := *b
	c.open = slices.Clone(b.open)
	return &c
}
