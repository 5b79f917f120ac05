// Package decoding turns stored probabilities into text, one token at a time, without reading anything itself.
//
// Data flow of one step:
//
//	contexts ──Base──▶ Distribution ──Mix──▶ session cache ──steering──▶ biases, bans, penalties
//	  ──choose──▶ temperature, top-k, top-p, min-p ──Draw──▶ token ──joiner, stopper──▶ text
//
// A Generator owns this loop: it says which context it needs next, is given what the build stores about it, and
// returns the chosen token and the text that may be sent. Back-off is the same as in scoring; top-k is exact over the
// whole vocabulary at the cost of the followers of the contexts.
//
// Everything between a stored value and the chosen token has the same bits on every CPU: products are rounded before
// they are added, sums have a fixed order, powers and logarithms come from exactmath, and the draw compares whole
// numbers. Ties are broken by the bytes of the tokens. The same build, parameters and seed give the same text.
package decoding
