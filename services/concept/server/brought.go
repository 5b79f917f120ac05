package server

import (
	"encoding/json"
	"slices"

	conceptv1 "dbslm/proto/dbslm/concept/v1"
	"dbslm/services/concept"
)

// A client of a chat API brings the whole conversation with every request, and nothing that a reply before carried on. Then a form is
// made again of the history: replies that a question may have said, and what the person said to them. See docs/decisions/0106.

// brought is the form that the brought window left open; nil for none. Where several concepts ask the same, the one is taken that the
// message before the first question means most.
func (d *decision) brought() (open *conceptv1.Form) {
	best := -1.0
	for _, name := range d.bot.names {
		if d.bot.slots[name] == nil {
			continue
		}
		form, opening := d.broughtOf(name)
		if form == nil {
			continue
		}
		probability := 0.0
		for _, c := range d.bot.model.Predict(opening) {
			if c.Concept == name {
				probability = c.Probability
			}
		}
		if probability > best {
			open, best = form, probability
		}
	}
	return open
}

// message is what the person said, and the slot that was asked for then; "" for none.
type message struct {
	*conceptv1.Utterance
	asked string
}

// broughtOf is the form of a concept, and the message that began it. It goes back from the end to what the concept said last, or to
// more replies about something else than a form waits for.
func (d *decision) broughtOf(name string) (form *conceptv1.Form, opening string) {
	var messages []message // newest first
	aside := uint32(0)
	for i, u := range slices.Backward(d.req.Window) {
		if !u.Assistant {
			continue
		}
		question := d.says(name, u.Text, true)
		if question == nil {
			if aside++; aside > concept.MaxAside || d.says(name, u.Text, false) != nil || d.says(concept.QuestionDropped, u.Text, false) != nil {
				break
			}
			continue
		}
		if form == nil {
			form = &conceptv1.Form{Concept: name, Slot: question.Asks, LanguageCode: question.Language, Asked: map[string]uint32{}, Aside: aside}
		} else if n := len(messages); n > 0 {
			messages[n-1].asked = question.Asks
		}
		form.Asked[question.Asks]++
		aside = 0
		if i > 0 && !d.req.Window[i-1].Assistant {
			messages = append(messages, message{d.req.Window[i-1], ""})
		}
	}
	if form == nil || len(messages) == 0 {
		return nil, ""
	}
	values := map[string]any{}
	for _, m := range slices.Backward(messages) {
		r := d.reading(name, "", m.Text)
		if r.Asked = m.asked; m.asked != "" && d.req.LanguageCode == "" {
			r.Language = form.LanguageCode
		}
		if m.Time != nil {
			r.Now = m.Time.AsTime()
		}
		for _, f := range d.bot.slots[name].Read(m.Text, r) {
			values[f.Slot] = f.Value
		}
	}
	body, err := json.Marshal(values)
	if err != nil || len(body) > maxForm {
		return nil, ""
	}
	form.PayloadJson = string(body)
	return form, messages[len(messages)-1].Text
}

// says is the template of a concept that a reply may have ended with: a question, or one that says it; nil for none.
func (d *decision) says(name, reply string, question bool) *concept.Voice {
	for _, v := range d.bot.voices[name] {
		if (v.Asks != "") == question && v.MayHaveSaid(reply) {
			return v
		}
	}
	return nil
}
