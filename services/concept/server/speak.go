package server

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	"dbslm/services/concept"
	"dbslm/services/concept/schema"
)

// try fills and says one concept, and reports whether that ended the decision. Otherwise the reason stands among
// the considered concepts.
func (d *decision) try(name string, probability float64, features []string, sig *concept.Signal, now time.Time) bool {
	skip := func(reason string) bool {
		d.consider(name, probability, features, reason)
		return false
	}
	c, ok := d.bot.concepts[name]
	if !ok {
		return skip("unknown_concept")
	}
	if c.Disabled {
		return skip("disabled")
	}
	voices, named := d.bot.voices[name], d.bot.named[name]
	text, earlier := d.said(name), d.saidBefore(name)
	payload, from := concept.Fill(named, d.sources(c, sig, text, earlier))
	if d.bound && sig == nil && !concept.IsBuiltIn(name) && !d.continues(name) && !holdsCorrection(from) {
		return skip("does not hold the correction")
	}
	picked, missing, why := concept.Pick(voices, payload, d.wish(name, ""))
	var form *conceptv1.Form
	if needed := append(missing, d.bot.schemas[name].Missing(payload)...); len(needed) > 0 && sig == nil {
		var question *concept.Voice
		if question, form = d.question(name, needed, payload, from); question != nil {
			picked, missing = question, nil
		}
	}
	if asked := d.askedBy(name); form == nil && (c.Provider != "" || asked != nil) && d.req.Provided.GetConcept() != name {
		if empty := unfilled(named, payload, asked != nil); len(empty) > 0 {
			// A request carries one provider's answer. The caller lists the concepts whose provider it has asked
			// before; without this two failing providers would be asked in turns for ever.
			if slices.Contains(d.req.UsedConcepts, name) {
				return skip("missing_slot: " + strings.Join(empty, ", "))
			}
			body, err := json.Marshal(payload)
			if err != nil {
				return skip("invalid_payload: it cannot be written back")
			}
			d.resp.Form = d.req.Form
			d.resp.Decision = &conceptv1.NextResponse_PayloadNeeded{PayloadNeeded: &conceptv1.PayloadNeeded{
				Concept: name, ProviderAddress: c.Provider, Slots: empty, AskedReply: asked, PayloadJson: string(body), LanguageCode: d.language,
			}}
			return true
		}
	}
	if picked == nil {
		if why == concept.SkippedSlot {
			return skip("missing_slot: " + strings.Join(missing, ", "))
		}
		return skip(string(why))
	}
	if err := d.bot.schemas[name].Validate(declared(d.bot.schemas[name], payload)); err != nil && picked.Asks == "" {
		return skip("invalid_payload: " + errors.Public(err))
	}
	said, err := picked.Say(payload)
	if err != nil {
		return skip("unrenderable: " + errors.Public(err))
	}
	body, err := json.Marshal(payload)
	if err != nil {
		return skip("invalid_payload: it cannot be written back")
	}
	span := &conceptv1.Span{
		Concept: name, Text: strings.TrimSpace(said), TemplateId: picked.ID, TemplateVersion: picked.Version,
		LanguageCode: picked.Language, PayloadJson: string(body), SlotSources: from, Probability: probability,
		Complete: sig == nil, // after a signal the turn may still deserve an answer
		Asks:     picked.Asks, ContinuesForm: d.form != nil && (d.continues(name) || d.left),
		Read: places(from, text, earlier),
	}
	wish := d.wish(name, picked.Asks)
	wish.Avoid = ""
	if drawn, _, _ := concept.Pick(voices, payload, wish); drawn != nil && drawn.ID != picked.ID {
		span.AvoidedTemplateId = drawn.ID
	}
	if sig != nil {
		span.Signal = signalProto(*sig, now)
	}
	if form != nil || d.continues(name) {
		d.resp.Form = form
	}
	d.consider(name, probability, features, "")
	d.resp.Decision = &conceptv1.NextResponse_Span{Span: span}
	return true
}

// wish is what is wanted of a template of a concept, one that asks for a slot or, without it, one that says the concept.
func (d *decision) wish(name, asks string) concept.Wish {
	return concept.Wish{Asks: asks, Language: d.language, Tags: d.req.TemplateTags, Seed: d.req.Seed, Avoid: d.lastTemplate(name)}
}

// lastTemplate is the template that a concept used when it spoke last in the conversation; empty when it did not.
func (d *decision) lastTemplate(name string) string {
	for _, s := range d.req.Recent {
		if s.Concept == name {
			return s.TemplateId
		}
	}
	return ""
}

func holdsCorrection(from map[string]string) bool {
	for _, source := range from {
		if source == "correction" {
			return true
		}
	}
	return false
}

// declared keeps of a payload what the schema is about: built-in slots are the service's own.
func declared(s *schema.Schema, payload map[string]any) map[string]any {
	out := map[string]any{}
	for name, value := range payload {
		if s.Declares(name) {
			out[name] = value
		}
	}
	return out
}

// unfilled lists the slots that a payload has no value for and that a provider may fill, or that the service asks its caller for.
func unfilled(named []string, payload map[string]any, ofReply bool) (empty []string) {
	for _, slot := range named {
		if _, filled := payload[slot]; !filled && concept.IsBuiltInSlot(slot) == ofReply && !slices.Contains(empty, slot) {
			empty = append(empty, slot)
		}
	}
	return empty
}
