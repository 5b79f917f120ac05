package server

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"strings"

	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	"dbslm/services/concept"
	"dbslm/services/concept/schema"
	"dbslm/services/concept/store"
	"dbslm/services/concept/template"
)

// historyPage is how many changes of a concept are read at once to find an older version of a template.
const historyPage = 200

// audit implements AuditService.
type audit struct {
	*Server
	conceptv1.UnimplementedAuditServiceServer
}

// Retell implements AuditService.
func (s *audit) Retell(ctx context.Context, req *conceptv1.RetellRequest) (*conceptv1.RetellResponse, error) {
	payload, err := schema.Object(req.PayloadJson)
	if err != nil {
		return nil, errors.New(errors.InvalidArgument, "BAD_PAYLOAD", "the payload is %s", errors.Public(err)).Field("payload_json", "not a JSON object")
	}
	text, err := s.templateText(ctx, req)
	if err != nil {
		return nil, err
	}
	parsed, err := template.Parse(text, req.LanguageCode)
	if err != nil {
		return nil, err
	}
	said, err := parsed.Render(payload)
	if err != nil {
		return nil, err
	}
	return &conceptv1.RetellResponse{Text: strings.TrimSpace(said), TemplateText: text}, nil
}

// templateText is the text of a template in one of its versions: the present one, a built-in one, or one that its bot's history keeps.
func (s *audit) templateText(ctx context.Context, req *conceptv1.RetellRequest) (string, error) {
	name := botOf(req.Tenant, req.Bot)
	snap, err := s.store.Load(ctx, name)
	if err != nil {
		return "", err
	}
	same := func(t concept.Template) bool { return t.ID == req.TemplateId && t.Concept == req.Concept }
	templates := slices.Concat(snap.Templates, concept.BuiltInTemplates())
	known := ""
	if at := slices.IndexFunc(templates, same); at >= 0 {
		if templates[at].Version == req.TemplateVersion {
			return templates[at].Text, nil
		}
		known = store.TemplateName(templates[at].Language, templates[at].Name)
	}
	version, seq := int64(math.MaxInt64), int64(math.MaxInt64)
	for {
		changes, err := s.store.History(ctx, name, req.Concept, version, seq, historyPage)
		if err != nil {
			return "", err
		}
		for _, c := range changes {
			version, seq = c.BotVersion, c.Seq
			var was struct{ ID, Text string }
			if c.Version != req.TemplateVersion || json.Unmarshal([]byte(c.Content), &was) != nil {
				continue
			}
			if was.ID == req.TemplateId || was.ID == "" && known != "" && c.What == known {
				return was.Text, nil
			}
		}
		if len(changes) < historyPage {
			return "", errors.New(errors.NotFound, "TEMPLATE_NOT_FOUND", "version %d of the template that concept %q spoke with is not kept",
				req.TemplateVersion, req.Concept).With("template_id", req.TemplateId)
		}
	}
}
