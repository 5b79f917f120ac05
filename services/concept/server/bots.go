package server

import (
	"context"
	"slices"
	"strings"
	"sync"

	"dbslm/services/concept"
	"dbslm/services/concept/predict"
	"dbslm/services/concept/schema"
	"dbslm/services/concept/store"
)

// botLimit bounds the bots remembered.
const botLimit = 64

// bot is everything about a bot, ready to decide with. It is immutable.
type bot struct {
	version   int64
	concepts  map[string]concept.Concept
	names     []string // sorted
	templates map[string][]concept.Template
	schemas   map[string]*schema.Schema
	model     *predict.Model
}

// bots remembers bots by their version, so that a decision costs one small read.
type bots struct {
	store *store.Store

	mu    sync.Mutex
	known map[concept.Bot]*bot
}

func newBots(s *store.Store) *bots { return &bots{store: s, known: map[concept.Bot]*bot{}} }

// get returns the bot as it is now.
func (b *bots) get(ctx context.Context, name concept.Bot) (*bot, error) {
	version, err := b.store.Version(ctx, name)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	known := b.known[name]
	b.mu.Unlock()
	if known != nil && known.version == version {
		return known, nil
	}
	snap, err := b.store.Load(ctx, name)
	if err != nil {
		return nil, err
	}
	loaded, err := newBot(snap)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.known) >= botLimit {
		clear(b.known)
	}
	b.known[name] = loaded
	return loaded, nil
}

func newBot(snap store.Snapshot) (*bot, error) {
	b := &bot{
		version:   snap.Version,
		concepts:  map[string]concept.Concept{},
		templates: map[string][]concept.Template{},
		schemas:   map[string]*schema.Schema{},
		model:     predict.Train(concept.Training(snap.Examples)),
	}
	for _, c := range concept.BuiltIns() {
		b.concepts[c.Name] = c
	}
	for _, c := range snap.Concepts {
		c.BuiltIn = concept.IsBuiltIn(c.Name)
		b.concepts[c.Name] = c
		s, err := schema.Parse(c.Schema)
		if err != nil {
			return nil, err
		}
		b.schemas[c.Name] = s
	}
	for _, t := range snap.Templates {
		b.templates[t.Concept] = append(b.templates[t.Concept], t)
	}
	for _, t := range concept.BuiltInTemplates() {
		own := slices.ContainsFunc(snap.Templates, func(o concept.Template) bool { return o.Concept == t.Concept })
		if !own {
			b.templates[t.Concept] = append(b.templates[t.Concept], t)
		}
	}
	for name := range b.concepts {
		b.names = append(b.names, name)
	}
	slices.SortFunc(b.names, strings.Compare)
	return b, nil
}
