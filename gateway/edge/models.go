package edge

import (
	"context"
	"net/http"
	"strings"

	"dbslm/pkg/errors"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
)

const (
	// listedModels bounds the models that are listed.
	listedModels = 1000
	// nameBytes and textBytes bound names and texts, as the protos do.
	nameBytes = 128
	textBytes = 1 << 20
)

// tenantOf is whose data a request is about; empty means "default". There is no authentication yet, so it is asked for openly.
func tenantOf(r *http.Request) string { return r.Header.Get("X-Tenant") }

// model is a model of OpenAI's API: one with a published build.
type model struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

func asModel(m *ngramv1.Model) model {
	return model{ID: m.Name, Object: "model", Created: m.GetCreateTime().GetSeconds(), OwnedBy: m.Tenant}
}

// serving finds the published models: all of them, or the one of that name.
func (e *Edge) serving(ctx context.Context, tenant, name string) ([]model, error) {
	list := []model{}
	req := &ngramv1.ListModelsRequest{Tenant: tenant, PageSize: listedModels}
	for len(list) < listedModels {
		page, err := e.models.ListModels(ctx, req)
		if err != nil {
			return nil, err
		}
		for _, m := range page.Models {
			if m.PublishedBuildId != 0 && (name == "" || name == m.Name) {
				list = append(list, asModel(m))
			}
		}
		if req.PageToken = page.NextPageToken; req.PageToken == "" {
			break
		}
	}
	return list, nil
}

func (e *Edge) listModels(w http.ResponseWriter, r *http.Request) {
	list, err := e.serving(r.Context(), tenantOf(r), "")
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, http.StatusOK, map[string]any{"object": "list", "data": list})
}

func (e *Edge) getModel(w http.ResponseWriter, r *http.Request, name string) {
	list, err := e.serving(r.Context(), tenantOf(r), name)
	if err == nil && len(list) == 0 {
		err = errors.New(errors.NotFound, "MODEL_NOT_FOUND", "The model '%s' does not exist or has no published build.", name).Field("model", "unknown")
	}
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, http.StatusOK, list[0])
}

// tokenize cuts a text as a model does: not of OpenAI's API, and for its logit_bias, which speaks of ids of tokens.
func (e *Edge) tokenize(w http.ResponseWriter, r *http.Request) {
	var name, prompt string
	var given bool
	input := func(name string, raw []byte) error { given = true; return text(&prompt, textBytes)(name, raw) }
	err := readObject(r, parameters{
		"model":  text(&name, nameBytes),
		"input":  func(name string, raw rawJSON) error { return input(name, raw) },
		"prompt": func(name string, raw rawJSON) error { return input(name, raw) },
	})
	switch {
	case err != nil:
	case name == "":
		err = missing("model")
	case !given:
		err = missing("input")
	}
	var cut *ngramv1.TokenizeResponse
	if err == nil {
		cut, err = e.inference.Tokenize(r.Context(), &ngramv1.TokenizeRequest{Tenant: tenantOf(r), Model: name, Text: prompt})
	}
	if err != nil {
		refuse(w, err)
		return
	}
	ids, texts := []uint32{}, []string{}
	for _, sentence := range cut.Sentences {
		for _, token := range sentence.Tokens {
			ids, texts = append(ids, token.Id), append(texts, token.Text)
		}
	}
	reply(w, http.StatusOK, map[string]any{
		"object": "tokenization", "model": name, "system_fingerprint": fingerprint(cut.BuildId),
		"count": len(ids), "tokens": ids, "texts": texts,
	})
}

func missing(name string) error {
	return invalid("MISSING_REQUIRED_PARAMETER", name, "Missing required parameter: '%s'.", name)
}

// usage counts tokens as the model cuts them.
type usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
}

// count is the number of tokens of texts; ok is false when nothing can count them now, because no build is published or level
// 1 is out of reach. An answer is not lost for that.
func (e *Edge) count(ctx context.Context, tenant, model string, texts ...string) (tokens int, ok bool) {
	all := strings.Join(texts, "\n")
	for len(all) > 0 {
		part := all[:min(len(all), textBytes)]
		resp, err := e.inference.Tokenize(ctx, &ngramv1.TokenizeRequest{Tenant: tenant, Model: model, Text: strings.ToValidUTF8(part, "")})
		if err != nil {
			return 0, false
		}
		for _, sentence := range resp.Sentences {
			tokens += len(sentence.Tokens)
		}
		all = all[len(part):]
	}
	return tokens, true
}

func (e *Edge) used(ctx context.Context, tenant, model string, prompt, said []string) *usage {
	before, ok := e.count(ctx, tenant, model, prompt...)
	after, too := e.count(ctx, tenant, model, said...)
	if !ok || !too {
		return nil
	}
	return &usage{before, after, before + after}
}

// healthy answers whether the gateway can be reached.
func (e *Edge) healthy(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
}
