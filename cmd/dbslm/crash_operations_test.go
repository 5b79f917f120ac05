package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// operation is a command of a round.
type operation struct {
	kind      string
	own, twin []string // its arguments for the store and for the twin
	stdin     string
	over      []string // complaints of a command that had been completed before
	done      func()   // what is known afterwards
}

// ended says whether a command complains that it had been completed before.
func (op operation) ended(r result) bool {
	return r.code == exitUsage && slices.ContainsFunc(op.over, func(text string) bool { return strings.Contains(r.complaint(), text) })
}

func same(kind string, args ...string) operation {
	return operation{kind: kind, own: args, twin: args, done: func() {}}
}

// draw chooses a command that can be done now. The first rounds train, forget and import, so that few rounds do too.
func (c *crash) draw(round int) operation {
	if first := []func() (operation, bool){c.train, c.train, c.forget, c.importModel}; round < len(first) {
		if op, possible := first[round](); possible {
			return op
		}
	}
	choices := []func() (operation, bool){
		c.train, c.train, c.train, c.train, c.replace, c.replace, c.countOnly, c.reset, c.readStdin, c.forget, c.forget, c.forget,
		c.build, c.build, c.prune, c.prune, c.publish, c.rollback, c.drop, c.drop, c.copy, c.copy, c.importModel, c.importModel, c.deleteCopy, c.deleteCopy, c.deleteAll,
	}
	for {
		if op, possible := choices[c.random.IntN(len(choices))](); possible {
			return op
		}
	}
}

// text writes a new text, or another one under a label, and returns the label.
func (c *crash) text(label string) string {
	if c.texts++; label == "" {
		label = fmt.Sprintf("text-%d.txt", c.texts)
	}
	c.only[label] = fmt.Sprintf("solitude%d", c.texts)
	write(c.T, label, crashText(c.random, 5+c.random.IntN(120))+c.only[label]+" .\n\n")
	return label
}

// crashText is so many sentences over a few words and some names of its own.
func crashText(random *rand.Rand, sentences int) string {
	var b strings.Builder
	for range sentences {
		for range 1 + random.IntN(12) {
			if random.IntN(6) == 0 {
				fmt.Fprintf(&b, "Name%d ", random.IntN(200))
			} else {
				b.WriteString([]string{"the", "a", "ship", "quay", "Fog", "lamp", "and", "turns", "waits", "slowly"}[random.IntN(10)] + " ")
			}
		}
		b.WriteString(".\n\n")
	}
	return b.String()
}

func (c *crash) training(kind string, flags ...string) (operation, []string) {
	var labels []string
	for range 1 + c.random.IntN(3) {
		labels = append(labels, c.text(""))
	}
	args := slices.Concat([]string{"train"}, labels, c.settings, flags)
	return same(kind, args...), labels
}

func (c *crash) train() (operation, bool) {
	op, labels := c.training("train", "--weight", fmt.Sprint(1+c.random.IntN(3)))
	op.done = func() { c.documents = append(c.documents, labels...) }
	return op, true
}

func (c *crash) countOnly() (operation, bool) {
	op, labels := c.training("count", "--no-build")
	op.done = func() { c.documents = append(c.documents, labels...) }
	return op, true
}

func (c *crash) reset() (operation, bool) {
	if len(c.documents) == 0 {
		return operation{}, false
	}
	op, labels := c.training("reset", "--reset", "--yes")
	op.done = func() { c.documents, c.served, c.shown = labels, nil, map[uint32]string{} }
	return op, true
}

func (c *crash) readStdin() (operation, bool) {
	if slices.Contains(c.documents, stdinLabel) {
		return operation{}, false
	}
	op := same("stdin", append([]string{"train", "--stdin"}, c.settings...)...)
	op.stdin = crashText(c.random, 40)
	op.done = func() { c.documents = append(c.documents, stdinLabel) }
	return op, true
}

func (c *crash) document() string { return c.documents[c.random.IntN(len(c.documents))] }

func (c *crash) replace() (operation, bool) {
	if len(c.documents) == 0 {
		return operation{}, false
	}
	label := c.document()
	if label == stdinLabel {
		return operation{}, false
	}
	return same("replace", append([]string{"train", c.text(label), "--replace"}, c.settings...)...), true
}

func (c *crash) forget() (operation, bool) {
	if len(c.documents) == 0 || len(c.documents) == 1 && c.random.IntN(4) > 0 {
		return operation{}, false
	}
	label := c.document()
	op := same("forget", "forget", label, "--yes")
	op.over = []string{"has no document"}
	op.done = func() {
		c.documents = slices.DeleteFunc(c.documents, func(d string) bool { return d == label })
		if word := c.only[label]; word != "" && c.server == nil && c.serve == nil && len(c.copies) == 0 {
			notInFiles(c.T, c.store, word)
		}
	}
	return op, true
}

// importModel makes a model of what the twin exports, in either format; afterwards both stores export the same again.
func (c *crash) importModel() (operation, bool) {
	if c.published(c.twin) == 0 || len(c.copies) > 2 {
		return operation{}, false
	}
	c.texts++
	name := fmt.Sprintf("import-%d", c.texts)
	file := name + []string{".arpa", ".tsv"}[c.random.IntN(2)]
	succeed(c.T, "export", file, "--db", c.twin)
	op := same("import", "import", file, "--model", name, "--storage", []string{"8", "exact"}[c.random.IntN(2)])
	op.over = []string{"there is a model"}
	op.done = func() {
		c.copies = append(c.copies, name)
		var again [2]string
		for i, db := range []string{c.store, c.twin} {
			again[i] = succeed(c.T, "export", "-", "--format", "arpa", "--model", name, "--db", db)
		}
		if again[0] != again[1] || len(again[0]) < 100 {
			c.Errorf("what was imported of %s is not the same in the store and its twin: %d and %d bytes of ARPA", file, len(again[0]), len(again[1]))
		}
	}
	return op, true
}

func (c *crash) build() (operation, bool) {
	if len(c.documents) == 0 {
		return operation{}, false
	}
	smoothing := []string{"modified-kneser-ney", "jelinek-mercer", "witten-bell"}[c.random.IntN(3)]
	return same("build", "build", "--if-changed", "--smoothing", smoothing, "--storage", []string{"8", "16", "exact"}[c.random.IntN(3)]), true
}

func (c *crash) prune() (operation, bool) {
	if len(c.documents) == 0 || c.published(c.store) == 0 {
		return operation{}, false
	}
	how := [][]string{{"--cutoffs", "0,1"}, {"--target-ngrams", "400"}, {"--threshold", "1e-5"}}[c.random.IntN(3)]
	return same("prune", append([]string{"prune"}, how...)...), true
}

// kept lists the builds that served once and are kept in the store and the twin, but for those that serve.
func (c *crash) kept() (pairs []pair) {
	own, twin := c.ready(c.store), c.ready(c.twin)
	for _, p := range c.served {
		if own[p.own] && twin[p.twin] && p.own != c.published(c.store) {
			pairs = append(pairs, p)
		}
	}
	return pairs
}

func (c *crash) publish() (operation, bool) {
	kept := c.kept()
	if len(kept) == 0 {
		return operation{}, false
	}
	p := kept[c.random.IntN(len(kept))]
	return operation{kind: "publish", own: []string{"publish", fmt.Sprint(p.own)}, twin: []string{"publish", fmt.Sprint(p.twin)}, done: func() {}}, true
}

// rollback goes back to a build that the twin has; after a kill, the line of those that served may differ, so the twin publishes it.
func (c *crash) rollback() (operation, bool) {
	before := c.servedBefore(c.store)
	for _, p := range c.kept() {
		if p.own == before {
			return operation{
				kind: "rollback", own: []string{"rollback", "--from", fmt.Sprint(c.published(c.store))}, twin: []string{"publish", fmt.Sprint(p.twin)},
				over: []string{"nothing was rolled back"}, done: func() {},
			}, true
		}
	}
	return operation{}, false
}

func (c *crash) drop() (operation, bool) {
	kept := c.kept()
	if len(kept) == 0 {
		return operation{}, false
	}
	p := kept[c.random.IntN(len(kept))]
	return operation{
		kind: "drop", own: []string{"builds", "drop", fmt.Sprint(p.own)}, twin: []string{"builds", "drop", fmt.Sprint(p.twin)},
		done: func() { delete(c.shown, p.own) },
	}, true
}

func (c *crash) copy() (operation, bool) {
	if len(c.documents) == 0 || len(c.copies) > 2 {
		return operation{}, false
	}
	c.texts++
	name := fmt.Sprintf("copy-%d", c.texts)
	op := same("copy", "copy", "default", name)
	op.over = []string{"there is a model"}
	op.done = func() { c.copies = append(c.copies, name) }
	return op, true
}

func (c *crash) deleteCopy() (operation, bool) {
	if len(c.copies) == 0 {
		return operation{}, false
	}
	op := same("delete", "models", "delete", c.copies[0], "--yes")
	op.over = []string{"there is no model"}
	op.done = func() { c.copies = c.copies[1:] }
	return op, true
}

func (c *crash) deleteAll() (operation, bool) {
	if len(c.documents) < 4 {
		return operation{}, false
	}
	op := same("delete", "models", "delete", "default", "--yes")
	op.over = []string{"there is no model"}
	op.done = c.forgetAll
	return op, true
}
