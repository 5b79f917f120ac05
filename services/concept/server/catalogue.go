package server

import (
	"context"
	"strconv"
	"strings"
	"unicode/utf8"

	"dbslm/pkg/errors"
	"dbslm/pkg/pagetoken"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	"dbslm/services/concept"
	"dbslm/services/concept/predict"
	"dbslm/services/concept/slots"
	"dbslm/services/concept/store"
)

// catalogue implements CatalogueService.
type catalogue struct {
	*Server
	conceptv1.UnimplementedCatalogueServiceServer
}

// PutConcept implements CatalogueService.
func (s *catalogue) PutConcept(ctx context.Context, req *conceptv1.PutConceptRequest) (*conceptv1.PutConceptResponse, error) {
	c, shape, err := conceptOf(req.Concept)
	if err != nil {
		return nil, err
	}
	stored, changed, err := s.store.PutConcept(ctx, botOf(req.Tenant, req.Bot), c, s.now(), func(templates []concept.Template) error {
		for _, t := range templates {
			if err := concept.CheckTemplate(t, c, shape); err != nil {
				return errors.New(errors.FailedPrecondition, "TEMPLATE_UNFIT",
					"template %q (language %q) no longer fits: %s; change or delete it first", t.Name, t.Language, errors.Public(err))
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &conceptv1.PutConceptResponse{Concept: conceptProto(stored), Changed: changed}, nil
}

// conceptOf checks a concept and expands its schema.
func conceptOf(p *conceptv1.Concept) (concept.Concept, concept.Shape, error) {
	read, err := readSlotsOf(p.Slots)
	if err != nil {
		return concept.Concept{}, concept.Shape{}, err
	}
	c := concept.Concept{
		Name: p.Name, Description: p.Description, Priority: p.Priority, Disabled: p.Disabled,
		Schema: p.MetadataSchema, Static: strings.TrimSpace(p.StaticPayload), Provider: p.ProviderAddress, BuiltIn: concept.IsBuiltIn(p.Name),
		Slots: read, CoolDown: p.CoolDown,
	}
	return c.Check()
}

// readSlotsOf writes slots as they are stored.
func readSlotsOf(protos []*conceptv1.ReadSlot) (string, error) {
	list := make([]slots.Slot, len(protos))
	for i, p := range protos {
		list[i] = slots.Slot{Slot: p.Slot, Kind: slots.Kind(p.Kind), Pattern: p.Pattern, Earlier: p.Earlier}
		for _, v := range p.Values {
			list[i].Values = append(list[i].Values, slots.Value{Value: v.Value, Synonyms: v.Synonyms})
		}
	}
	set, err := slots.New(list)
	if err != nil || set == nil {
		return "", err
	}
	return set.Text, nil
}

// GetConcept implements CatalogueService.
func (s *catalogue) GetConcept(ctx context.Context, req *conceptv1.GetConceptRequest) (*conceptv1.GetConceptResponse, error) {
	name := botOf(req.Tenant, req.Bot)
	b, err := s.bots.look(ctx, name)
	if err != nil {
		return nil, err
	}
	c, ok := b.concepts[req.Name]
	if !ok {
		return nil, store.NotFound(name, req.Name)
	}
	examples, err := s.store.CountExamples(ctx, name, req.Name)
	if err != nil {
		return nil, err
	}
	resp := &conceptv1.GetConceptResponse{Concept: conceptProto(c), Examples: examples}
	for _, t := range b.templates[req.Name] {
		resp.Templates = append(resp.Templates, templateProto(t))
	}
	return resp, nil
}

// ListConcepts implements CatalogueService.
func (s *catalogue) ListConcepts(ctx context.Context, req *conceptv1.ListConceptsRequest) (*conceptv1.ListConceptsResponse, error) {
	name := botOf(req.Tenant, req.Bot)
	query := []string{"ListConcepts", name.Tenant, name.Name}
	after, err := pagetoken.Place(req.PageToken, query)
	if err != nil {
		return nil, err
	}
	b, err := s.bots.look(ctx, name)
	if err != nil {
		return nil, err
	}
	resp := &conceptv1.ListConceptsResponse{}
	for _, n := range b.names {
		if n <= after {
			continue
		}
		if len(resp.Concepts) == pagetoken.Size(req.PageSize) {
			resp.NextPageToken = pagetoken.Encode(query, resp.Concepts[len(resp.Concepts)-1].Name)
			break
		}
		resp.Concepts = append(resp.Concepts, conceptProto(b.concepts[n]))
	}
	return resp, nil
}

// DeleteConcept implements CatalogueService.
func (s *catalogue) DeleteConcept(ctx context.Context, req *conceptv1.DeleteConceptRequest) (*conceptv1.DeleteConceptResponse, error) {
	if concept.IsBuiltIn(req.Name) {
		return nil, errors.New(errors.FailedPrecondition, "BUILT_IN", "%s is built in and cannot be deleted; disable it with PutConcept", req.Name)
	}
	name := botOf(req.Tenant, req.Bot)
	if err := s.store.NeedBot(ctx, name); err != nil {
		return nil, err
	}
	found, err := s.store.DeleteConcept(ctx, name, req.Name, s.now())
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, store.NotFound(name, req.Name)
	}
	return &conceptv1.DeleteConceptResponse{}, nil
}

// PutTemplate implements CatalogueService.
func (s *catalogue) PutTemplate(ctx context.Context, req *conceptv1.PutTemplateRequest) (*conceptv1.PutTemplateResponse, error) {
	p := req.Template
	id, err := newID()
	if err != nil {
		return nil, err
	}
	t := concept.Template{
		ID: id, Concept: p.Concept, Name: orDefault(p.Name, concept.TemplateName(p.Asks)), Language: p.LanguageCode,
		Text: p.Text, Weight: p.Weight, Condition: strings.TrimSpace(p.Condition), Asks: p.Asks, Tags: concept.JoinTags(p.Tags),
	}
	if t.Weight == 0 {
		t.Weight = 1
	}
	if len(t.Language) > 32 {
		return nil, errors.New(errors.InvalidArgument, "BAD_LANGUAGE", "language code %q is longer than 32 bytes", t.Language).
			Field("template.language_code", "too long")
	}
	name := botOf(req.Tenant, req.Bot)
	stored, changed, err := s.store.PutTemplate(ctx, name, t, s.now(), func(owner *concept.Concept) error {
		if owner == nil {
			if !concept.IsBuiltIn(t.Concept) {
				return store.NotFound(name, t.Concept)
			}
			owner = &concept.Concept{Name: t.Concept, BuiltIn: true}
		}
		c, shape, err := owner.Check()
		if err != nil {
			return err
		}
		return concept.CheckTemplate(t, c, shape)
	})
	if err != nil {
		return nil, err
	}
	return &conceptv1.PutTemplateResponse{Template: templateProto(stored), Changed: changed}, nil
}

// ListTemplates implements CatalogueService.
func (s *catalogue) ListTemplates(ctx context.Context, req *conceptv1.ListTemplatesRequest) (*conceptv1.ListTemplatesResponse, error) {
	name := botOf(req.Tenant, req.Bot)
	query := []string{"ListTemplates", name.Tenant, name.Name, req.Concept}
	position, err := pagetoken.Decode(req.PageToken, query, 1)
	if err != nil {
		return nil, err
	}
	first := 0
	if position != nil {
		if first, err = strconv.Atoi(position[0]); err != nil || first < 0 {
			return nil, pagetoken.Damaged()
		}
	}
	b, err := s.bots.look(ctx, name)
	if err != nil {
		return nil, err
	}
	if _, ok := b.concepts[req.Concept]; !ok {
		return nil, store.NotFound(name, req.Concept)
	}
	all := b.templates[req.Concept]
	resp := &conceptv1.ListTemplatesResponse{}
	for i := min(first, len(all)); i < len(all); i++ {
		if len(resp.Templates) == pagetoken.Size(req.PageSize) {
			resp.NextPageToken = pagetoken.Encode(query, strconv.Itoa(i))
			break
		}
		resp.Templates = append(resp.Templates, templateProto(all[i]))
	}
	return resp, nil
}

// DeleteTemplate implements CatalogueService.
func (s *catalogue) DeleteTemplate(ctx context.Context, req *conceptv1.DeleteTemplateRequest) (*conceptv1.DeleteTemplateResponse, error) {
	found, err := s.store.DeleteTemplate(ctx, botOf(req.Tenant, req.Bot), req.Concept, req.LanguageCode, orDefault(req.Name, concept.DefaultTemplate), s.now())
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errors.New(errors.NotFound, "TEMPLATE_NOT_FOUND", "concept %q has no template %q in language %q", req.Concept, orDefault(req.Name, concept.DefaultTemplate), req.LanguageCode)
	}
	return &conceptv1.DeleteTemplateResponse{}, nil
}

// AddExamples implements CatalogueService.
func (s *catalogue) AddExamples(ctx context.Context, req *conceptv1.AddExamplesRequest) (*conceptv1.AddExamplesResponse, error) {
	examples, err := examplesOf(req.Examples)
	if err != nil {
		return nil, err
	}
	added, err := s.store.AddExamples(ctx, botOf(req.Tenant, req.Bot), examples, concept.IsBuiltIn)
	if err != nil {
		return nil, err
	}
	return &conceptv1.AddExamplesResponse{Added: uint64(added)}, nil
}

func examplesOf(protos []*conceptv1.Example) ([]concept.Example, error) {
	out := make([]concept.Example, len(protos))
	for i, p := range protos {
		u := strings.Join(strings.Fields(p.Utterance), " ")
		if !utf8.ValidString(u) || strings.ContainsRune(u, 0) || len(predict.Features(u)) == 0 {
			return nil, errors.New(errors.InvalidArgument, "BAD_EXAMPLE", "example %d holds no word", i).
				Field("examples["+strconv.Itoa(i)+"].utterance", "holds no word")
		}
		out[i] = concept.Example{Concept: p.Concept, Utterance: u}
	}
	return out, nil
}

// ListExamples implements CatalogueService.
func (s *catalogue) ListExamples(ctx context.Context, req *conceptv1.ListExamplesRequest) (*conceptv1.ListExamplesResponse, error) {
	name := botOf(req.Tenant, req.Bot)
	query := []string{"ListExamples", name.Tenant, name.Name, req.Concept}
	position, err := pagetoken.Decode(req.PageToken, query, 2)
	if err != nil {
		return nil, err
	}
	afterConcept, afterHash := "", int64(0)
	if position != nil {
		afterConcept = position[0]
		if afterHash, err = strconv.ParseInt(position[1], 10, 64); err != nil {
			return nil, pagetoken.Damaged()
		}
	}
	if err := s.store.NeedBot(ctx, name); err != nil {
		return nil, err
	}
	size := pagetoken.Size(req.PageSize)
	examples, err := s.store.ListExamples(ctx, name, req.Concept, afterConcept, afterHash, size+1)
	if err != nil {
		return nil, err
	}
	resp := &conceptv1.ListExamplesResponse{}
	if len(examples) > size {
		last := examples[size-1]
		resp.NextPageToken = pagetoken.Encode(query, last.Concept, strconv.FormatInt(predict.Hash(last.Utterance), 10))
		examples = examples[:size]
	}
	for _, e := range examples {
		resp.Examples = append(resp.Examples, &conceptv1.Example{Concept: e.Concept, Utterance: e.Utterance})
	}
	return resp, nil
}

// DeleteExamples implements CatalogueService.
func (s *catalogue) DeleteExamples(ctx context.Context, req *conceptv1.DeleteExamplesRequest) (*conceptv1.DeleteExamplesResponse, error) {
	examples, err := examplesOf(req.Examples)
	if err != nil {
		return nil, err
	}
	removed, err := s.store.DeleteExamples(ctx, botOf(req.Tenant, req.Bot), examples)
	if err != nil {
		return nil, err
	}
	return &conceptv1.DeleteExamplesResponse{Removed: uint64(removed)}, nil
}

func conceptProto(c concept.Concept) *conceptv1.Concept {
	return &conceptv1.Concept{
		Name: c.Name, Description: c.Description, MetadataSchema: c.Schema, Priority: c.Priority, Disabled: c.Disabled,
		StaticPayload: c.Static, ProviderAddress: c.Provider, BuiltIn: c.BuiltIn, Version: c.Version, UpdateTime: timestamp(c.Updated),
		Slots: slotProtos(c.Slots), CoolDown: c.CoolDown,
	}
}

// slotProtos gives stored slots; what was checked when it was stored can be read.
func slotProtos(stored string) (protos []*conceptv1.ReadSlot) {
	list, err := slots.Stored(stored)
	if err != nil {
		return nil
	}
	for _, slot := range list {
		p := &conceptv1.ReadSlot{Slot: slot.Slot, Kind: string(slot.Kind), Pattern: slot.Pattern, Earlier: slot.Earlier}
		for _, v := range slot.Values {
			p.Values = append(p.Values, &conceptv1.SlotValue{Value: v.Value, Synonyms: v.Synonyms})
		}
		protos = append(protos, p)
	}
	return protos
}

func templateProto(t concept.Template) *conceptv1.Template {
	return &conceptv1.Template{
		Concept: t.Concept, Name: t.Name, LanguageCode: t.Language, Text: t.Text, Weight: t.Weight,
		Condition: t.Condition, Version: t.Version, TemplateId: t.ID, Asks: t.Asks, Tags: strings.Fields(t.Tags),
	}
}
