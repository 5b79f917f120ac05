package server

import (
	"context"
	"slices"
	"strings"
	"sync"

	"dbslm/services/concept"
	"dbslm/services/concept/predict"
	"dbslm/services/concept/schema"
	"dbslm/services/concept/slots"
	"dbslm/services/concept/store"
)

// botLimit bounds the bots and the models of builds remembered.
const botLimit = 64

// bot is everything about a bot, ready to decide with. It is immutable.
type bot struct {
	version   int64
	concepts  map[string]concept.Concept
	names     []string // sorted
	templates map[string][]concept.Template
	voices    map[string][]*concept.Voice // the same, ready to speak
	named     map[string][]string         // slots of each concept: those of its templates and of its schema
	schemas   map[string]*schema.Schema
	slots     map[string]*slots.Set // that are read from what a person says
	tongues   concept.Tongues
	model     *predict.Model
	build     concept.Build // that the model is of; zero for the built-in concepts alone
}

// model is a build as it decides.
type model struct {
	*predict.Model
	build concept.Build
}

// bots remembers bots by their version and models by their build, so that a decision costs one small read.
type bots struct {
	store *store.Store
	maker *maker

	mu     sync.Mutex
	known  map[concept.Bot]*bot
	models map[uint32]model
}

func newBots(s *store.Store, m *maker) *bots {
	return &bots{store: s, maker: m, known: map[concept.Bot]*bot{}, models: map[uint32]model{}}
}

// get returns the bot as it is now, deciding with a build, or with the published one when that is 0. A bot whose
// examples changed is built anew first; see maker.
func (b *bots) get(ctx context.Context, name concept.Bot, build uint32) (*bot, error) {
	state, err := b.store.State(ctx, name)
	if err != nil {
		return nil, err
	}
	if state.Version == 0 && name.Name != concept.DefaultBot {
		return nil, b.store.NoBot(ctx, name)
	}
	if build == 0 && state.Version > 0 && state.Stale() {
		if err := b.maker.refresh(ctx, name, state); err != nil {
			return nil, err
		}
		if state, err = b.store.State(ctx, name); err != nil {
			return nil, err
		}
	}
	if build == 0 {
		build = state.Published
	}
	known, err := b.snapshot(ctx, name, state.Version)
	if err != nil {
		return nil, err
	}
	if known.model != nil && known.build.ID == build && build == state.Published { // another one may have been dropped
		return known, nil
	}
	m, err := b.model(ctx, name, build)
	if err != nil {
		return nil, err
	}
	decides := *known
	decides.model, decides.build = m.Model, m.build
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.known) >= botLimit {
		clear(b.known)
	}
	b.known[name] = &decides
	return &decides, nil
}

// look returns the bot as it is now without what decides for it: reading a bot builds nothing.
func (b *bots) look(ctx context.Context, name concept.Bot) (*bot, error) {
	state, err := b.store.State(ctx, name)
	if err != nil {
		return nil, err
	}
	if state.Version == 0 && name.Name != concept.DefaultBot {
		return nil, b.store.NoBot(ctx, name)
	}
	return b.snapshot(ctx, name, state.Version)
}

// snapshot returns the bot of a version, remembered or read; it may not decide yet.
func (b *bots) snapshot(ctx context.Context, name concept.Bot, version int64) (*bot, error) {
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
	return newBot(snap)
}

// model returns that of a build of the bot.
func (b *bots) model(ctx context.Context, name concept.Bot, build uint32) (model, error) {
	b.mu.Lock()
	known, ok := b.models[build]
	b.mu.Unlock()
	if ok {
		if build == 0 {
			return known, nil
		}
		// It is this bot's, and nobody dropped it?
		if _, err := b.store.Build(ctx, name, build); err != nil {
			return model{}, err
		}
		return known, nil
	}
	if build == 0 {
		known = model{Model: predict.Train(concept.Training(nil)), build: concept.Build{Threshold: predict.Threshold}}
	} else {
		var err error
		if known.Model, known.build, err = b.store.LoadModel(ctx, name, build); err != nil {
			return model{}, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.models) >= botLimit {
		clear(b.models)
	}
	b.models[build] = known
	return known, nil
}

func newBot(snap store.Snapshot) (*bot, error) {
	b := &bot{
		version:   snap.Version,
		concepts:  map[string]concept.Concept{},
		templates: map[string][]concept.Template{},
		schemas:   map[string]*schema.Schema{},
		slots:     map[string]*slots.Set{},
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
		if b.slots[c.Name], err = slots.Parse(c.Slots); err != nil {
			return nil, err
		}
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
	b.tongues = concept.NewTongues(snap.Templates)
	b.voices, b.named = map[string][]*concept.Voice{}, map[string][]string{}
	for name := range b.concepts {
		b.named[name] = b.schemas[name].Properties()
		for _, t := range b.templates[name] {
			if v, err := t.Read(); err == nil { // what was stored was checked; one that cannot be read any more does not speak
				b.voices[name] = append(b.voices[name], v)
				b.named[name] = append(b.named[name], v.Slots()...)
			}
		}
		slices.Sort(b.named[name])
		b.named[name] = slices.Compact(b.named[name])
		b.names = append(b.names, name)
	}
	slices.SortFunc(b.names, strings.Compare)
	return b, nil
}
