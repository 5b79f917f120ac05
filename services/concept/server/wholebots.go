package server

import (
	"context"
	"math"
	"strconv"

	"dbslm/pkg/errors"
	"dbslm/pkg/pagetoken"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	"dbslm/services/concept"
	"dbslm/services/concept/botfile"
	"dbslm/services/concept/store"
)

// maxChanges bounds the changes that an answer lists.
const maxChanges = 10000

// wholeBots implements BotService.
type wholeBots struct {
	*Server
	conceptv1.UnimplementedBotServiceServer
}

// ApplyBot implements BotService.
func (s *wholeBots) ApplyBot(ctx context.Context, req *conceptv1.ApplyBotRequest) (*conceptv1.ApplyBotResponse, error) {
	name := botOf(req.Tenant, req.Bot)
	wanted, problems := botfile.Read([]byte(req.File))
	resp := &conceptv1.ApplyBotResponse{}
	for _, p := range problems {
		resp.Problems = append(resp.Problems, &conceptv1.FileProblem{Line: uint32(p.Line), Column: uint32(p.Column), Warning: p.Warning, Text: p.Text})
	}
	if botfile.Wrong(problems) {
		if req.DryRun {
			return resp, nil
		}
		return nil, fileError(problems)
	}
	snap, examples, err := s.store.LoadWhole(ctx, name)
	if err != nil {
		return nil, err
	}
	if req.IfVersion != 0 && req.IfVersion != snap.Version {
		return nil, errors.New(errors.FailedPrecondition, "BOT_CHANGED", "the bot has version %d, not %d: somebody changed it in between; look at the difference again", snap.Version, req.IfVersion)
	}
	plan := botfile.Diff(botfile.Bot{Concepts: snap.Concepts, Templates: snap.Templates, Examples: examples}, wanted, req.Keep)
	resp.ChangeCount, resp.Version = uint64(len(plan.Changes)), snap.Version
	for _, c := range plan.Changes[:min(len(plan.Changes), maxChanges)] {
		resp.Changes = append(resp.Changes, &conceptv1.BotChange{Concept: c.Concept, What: c.What, Before: c.Before, After: c.After})
	}
	if req.DryRun || plan.Empty() {
		return resp, nil
	}
	edits := store.Edits{
		Delete: plan.Delete, DeleteTemplates: plan.DeleteTemplates, Put: plan.Put, PutTemplates: plan.PutTemplates, Add: plan.Add, Remove: plan.Remove,
	}
	for i := range edits.PutTemplates {
		if edits.PutTemplates[i].ID, err = newID(); err != nil {
			return nil, err
		}
	}
	if resp.Version, err = s.store.Apply(ctx, name, snap.Version, edits, s.now(), concept.IsBuiltIn); err != nil {
		return nil, err
	}
	resp.Applied = true
	return resp, nil
}

// fileError says what is wrong with a file, each with its place.
func fileError(problems []botfile.Problem) error {
	first, n := "", 0
	for _, p := range problems {
		if p.Warning {
			continue
		}
		if n++; n == 1 {
			first = p.String()
		}
	}
	err := errors.New(errors.InvalidArgument, "BAD_BOT_FILE", "the file has %d problems, the first: %s; a dry run lists all", n, first)
	for _, p := range problems[:min(len(problems), 20)] {
		if !p.Warning {
			err = err.Field("file", p.String())
		}
	}
	return err
}

// ExportBot implements BotService.
func (s *wholeBots) ExportBot(ctx context.Context, req *conceptv1.ExportBotRequest) (*conceptv1.ExportBotResponse, error) {
	name := botOf(req.Tenant, req.Bot)
	if err := s.store.NeedBot(ctx, name); err != nil {
		return nil, err
	}
	snap, examples, err := s.store.LoadWhole(ctx, name)
	if err != nil {
		return nil, err
	}
	b := botfile.Bot{Concepts: snap.Concepts, Templates: snap.Templates, Examples: examples}
	// Templates and examples of built-in concepts stand under a concept that may not be stored itself.
	named := map[string]bool{}
	for _, c := range b.Concepts {
		named[c.Name] = true
	}
	adopt := func(owner string) {
		if !named[owner] {
			named[owner] = true
			b.Concepts = append(b.Concepts, concept.Concept{Name: owner, BuiltIn: true})
		}
	}
	for _, t := range b.Templates {
		adopt(t.Concept)
	}
	for _, e := range b.Examples {
		adopt(e.Concept)
	}
	file, err := botfile.Write(b)
	if err != nil {
		return nil, err
	}
	return &conceptv1.ExportBotResponse{File: string(file), Version: snap.Version}, nil
}

// ListHistory implements BotService.
func (s *wholeBots) ListHistory(ctx context.Context, req *conceptv1.ListHistoryRequest) (*conceptv1.ListHistoryResponse, error) {
	name := botOf(req.Tenant, req.Bot)
	query := []string{"ListHistory", name.Tenant, name.Name, req.Concept}
	position, err := pagetoken.Decode(req.PageToken, query, 2)
	if err != nil {
		return nil, err
	}
	version, seq := int64(math.MaxInt64), int64(math.MaxInt64)
	if position != nil {
		var err2 error
		version, err = strconv.ParseInt(position[0], 10, 64)
		if seq, err2 = strconv.ParseInt(position[1], 10, 64); err != nil || err2 != nil {
			return nil, pagetoken.Damaged()
		}
	}
	if err := s.store.NeedBot(ctx, name); err != nil {
		return nil, err
	}
	size := pagetoken.Size(req.PageSize)
	changes, err := s.store.History(ctx, name, req.Concept, version, seq, size+1)
	if err != nil {
		return nil, err
	}
	resp := &conceptv1.ListHistoryResponse{}
	if len(changes) > size {
		last := changes[size-1]
		resp.NextPageToken = pagetoken.Encode(query, strconv.FormatInt(last.BotVersion, 10), strconv.FormatInt(last.Seq, 10))
		changes = changes[:size]
	}
	for _, c := range changes {
		resp.Entries = append(resp.Entries, &conceptv1.HistoryEntry{
			BotVersion: c.BotVersion, Concept: c.Concept, What: c.What, Version: c.Version, Content: c.Content, ChangeTime: timestamp(c.Changed),
		})
	}
	return resp, nil
}
