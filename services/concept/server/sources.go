package server

import (
	"fmt"
	"maps"

	conceptv1 "dbslm/proto/dbslm/concept/v1"
	"dbslm/services/concept"
	"dbslm/services/concept/digest"
	"dbslm/services/concept/schema"
)

// Names of sources that are looked for.
const sourceText, sourceAnswer, sourceEarlier = "text", "answer", "earlier"

// sources lists where slot values come from, the strongest first. A correction stands above what was told and above
// what the bot's author wrote, but below what this very request says.
func (d *decision) sources(c concept.Concept, sig *concept.Signal, text, earlier []heard) []concept.Source {
	corrections, facts := knownFacts(d.req.Corrections), knownFacts(d.req.Facts)
	return []concept.Source{
		{Name: "signal", Values: signalValues(sig)},
		{Name: "request", Values: d.request},
		{Name: sourceText, Values: valuesOf(text)},
		{Name: sourceAnswer, Values: d.answers(c.Name)},
		{Name: providerName(c), Values: d.provided(c.Name)},
		{Name: "correction", Values: concept.FactValues(corrections)},
		{Name: "fact", Values: concept.FactValues(facts)},
		{Name: sourceEarlier, Values: valuesOf(earlier)},
		{Name: "built_in", Values: d.builtIn(corrections, sig)},
		{Name: "static", Values: object(c.Static)},
		{Name: "default", Values: d.bot.schemas[c.Name].Defaults()},
	}
}

// providerName says who answered for the provider of a concept.
func providerName(c concept.Concept) string {
	if c.Name == concept.ReplyExplained {
		return "trace"
	}
	return "provider"
}

func knownFacts(protos []*conceptv1.KnownFact) []concept.Fact {
	out := make([]concept.Fact, len(protos))
	for i, p := range protos {
		out[i] = concept.Fact{
			Entity: p.Entity, Attribute: p.Attribute, Value: p.Value, CorrectionID: p.CorrectionId, ErrorContext: p.ErrorContext, Bears: p.Bears,
		}
	}
	return out
}

// object reads stored JSON; what was checked when it was stored cannot fail, and what fails fills nothing.
func object(text string) map[string]any {
	o, err := schema.Object(text)
	if err != nil {
		return nil
	}
	return o
}

func signalValues(sig *concept.Signal) map[string]any {
	if sig == nil {
		return nil
	}
	return object(sig.Payload)
}

func (d *decision) provided(name string) map[string]any {
	if d.req.Provided.GetConcept() != name {
		return nil
	}
	return object(d.req.Provided.GetPayloadJson())
}

// builtIn fills the service's own slots.
func (d *decision) builtIn(corrections []concept.Fact, sig *concept.Signal) map[string]any {
	var said []string
	for _, u := range d.req.Window {
		if !u.Assistant {
			said = append(said, u.Text)
		}
	}
	id, _ := signalValues(sig)["correction_id"].(string)
	values := map[string]any{
		concept.SlotDigest:      digest.Summarise(said, d.language),
		concept.SlotCorrections: concept.CorrectionText(corrections, id, d.language),
	}
	maps.Copy(values, concept.CorrectedValues(corrections))
	if d.unanswered != "" {
		values[concept.SlotUnanswered] = d.unanswered
	}
	if f := d.req.Figures; f != nil {
		values[concept.SlotStats] = fmt.Sprintf("%d of your messages, %d replies", f.UserMessages, f.AssistantMessages)
	}
	return values
}
