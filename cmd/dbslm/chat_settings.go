package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
)

// about runs :why, :explain or :replay for a reply, the newest one unless its id is given.
func (c *chat) about(ctx context.Context, name, id string) error {
	if id == "" {
		var err error
		if id, err = c.newest(ctx); err != nil {
			return err
		}
	}
	if name == ":replay" {
		return c.replay(ctx, c.conn, &gatewayv1.ReplayRequest{Tenant: c.tenant}, []string{id}, false)
	}
	e, err := c.conn.gateway.Explain(ctx, &gatewayv1.ExplainRequest{Tenant: c.tenant, MessageId: id})
	if err != nil {
		return err
	}
	if name == ":explain" {
		return c.printReply(e)
	}
	c.why(e)
	return nil
}

// newest is the id of the newest reply of the conversation.
func (c *chat) newest(ctx context.Context) (string, error) {
	if c.last != "" {
		return c.last, nil
	}
	ids, err := c.replies(ctx, c.conn, c.conversation.ConversationId)
	if err != nil {
		return "", err
	}
	if len(ids) == 0 {
		return "", usagef("nothing was replied yet; say something first")
	}
	return ids[len(ids)-1], nil
}

// why says in a sentence for each segment where it came from.
func (c *chat) why(e *gatewayv1.ExplainResponse) {
	for _, s := range e.Segments {
		if span := s.Span; span != nil {
			because := fmt.Sprintf("it is meant with probability %.2f", span.Probability)
			if span.Signal != nil {
				because = "a signal asked for it"
			}
			fmt.Fprintf(c.out, "%q: concept %s, because %s; its template is %q\n", strings.TrimSpace(s.Text), span.Concept, because, s.TemplateText)
			continue
		}
		fmt.Fprintf(c.out, "%q: written freely, because level 3 said nothing (%s); model %s, build %d, seed %d\n", strings.TrimSpace(s.Text),
			orUnknown(strings.ReplaceAll(s.Abstained, "_", " ")), e.Trace.Model, e.Trace.NgramBuildId, e.Trace.Seed)
	}
	for _, correction := range e.Corrections {
		if correction.Applied {
			fmt.Fprintf(c.out, "a correction holds: %s\n", correctionText(correction.Correction))
		}
	}
}

// set shows a setting of the conversation, or changes it for the replies to come. A model or profile must exist.
func (c *chat) set(ctx context.Context, name, value string) error {
	switch {
	case value == "":
	case name == ":seed" && value == "random":
		c.options.seeded = false
	case name == ":seed":
		seed, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return usagef("%q is not a whole number, 0 or more; :seed random draws a new one for every reply", value)
		}
		c.options.seed, c.options.seeded = seed, true
	case name == ":model":
		if _, err := ngramv1.NewModelServiceClient(c.conn).GetModel(ctx, &ngramv1.GetModelRequest{Tenant: c.tenant, Model: value}); err != nil {
			return err
		}
		c.options.model = value
	default:
		list, err := ngramv1.NewProfileServiceClient(c.conn).ListProfiles(ctx, &ngramv1.ListProfilesRequest{Tenant: c.tenant, Model: orElse(c.options.model, "default")})
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(list.Profiles, func(p *ngramv1.Profile) bool { return p.Name == value }) {
			return usagef("there is no profile %q; dbslm profiles lists them", value)
		}
		c.options.profile = value
	}
	shown := map[string]string{":seed": "random", ":model": orElse(c.options.model, "default"), ":profile": orElse(c.options.profile, "default")}
	if c.options.seeded {
		shown[":seed"] = fmt.Sprint(c.options.seed)
	}
	fmt.Fprintf(c.out, "%s: %s\n", name[1:], shown[name])
	return nil
}
