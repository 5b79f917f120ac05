package server

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	conceptv1 "dbslm/proto/dbslm/concept/v1"
	"dbslm/services/concept"
	"dbslm/services/concept/slots"

	"google.golang.org/protobuf/proto"
)

const (
	// ratherElsewhere is how probable another concept must be to be meant by a text that says no slot of the form, surelyElsewhere by
	// one that does: "sorry, I meant Friday" may resemble an apology.
	ratherElsewhere, surelyElsewhere = 0.6, 0.9
	// maxForm bounds the values that a person gave, in bytes of JSON: callers carry a form in 16 KiB.
	maxForm = 8192
)

// A concept that lacks slots may ask the person for them. While it does, its form is open: the caller carries it from reply to
// reply, and what the person says is read as the answer first. See docs/decisions/0105.

// answered takes the text as an answer to the open form, and reports whether that ended the decision. A text that is plainly about
// something else is not taken; the form then stays open for a while.
func (d *decision) answered(form *conceptv1.Form) bool {
	set := d.bot.slots[form.Concept]
	reading := d.reading(form.Concept, form.Slot, d.req.Text)
	found := set.Read(d.req.Text, reading)
	whole := slices.ContainsFunc(set.List(), func(s slots.Slot) bool { return s.Slot == form.Slot && s.Kind == slots.Text })
	if concept.CallsOff(d.req.Text) && (len(found) == 0 || whole) {
		return d.leave(form, "")
	}
	rest, bar := set.Rest(d.req.Text, reading), max(d.bot.build.Threshold, ratherElsewhere)
	if len(found) > 0 {
		bar = max(bar, surelyElsewhere)
	}
	other := d.elsewhere(rest, bar, form.Concept)
	if other == "" && d.bound && (len(found) == 0 || strings.HasSuffix(strings.TrimSpace(d.req.Text), "?")) {
		other = concept.CorrectedFact
	}
	switch {
	case other == concept.QuestionDropped:
		return d.leave(form, "")
	case other != "":
		d.setAside(form)
		return false
	}
	d.take(form)
	if len(found) == 0 && form.Asked[form.Slot] >= concept.MaxAsked {
		d.consider(form.Concept, 1, nil, "gave_up: "+form.Slot+" was asked for twice")
		return d.leave(form, form.Slot)
	}
	if d.try(form.Concept, 1, nil, nil, time.Time{}) {
		return true
	}
	return d.leave(form, form.Slot)
}

// setAside keeps the form open while the reply is about something else, for a few replies.
func (d *decision) setAside(form *conceptv1.Form) {
	if form.Aside < concept.MaxAside {
		d.resp.Form = proto.CloneOf(form)
		d.resp.Form.Aside++
	}
}

// take makes the text an answer to the form. The form's language is then that of the reply, because a bare answer may be a word of any.
func (d *decision) take(form *conceptv1.Form) {
	d.form = form
	if d.req.LanguageCode == "" {
		d.language = form.LanguageCode
	}
}

// elsewhere is the concept that a text means other than one, when prediction would let it speak; "" when there is none.
func (d *decision) elsewhere(said string, bar float64, but string) string {
	for _, c := range d.bot.ranked(d.bot.model.Predict(said)) {
		if c.Concept == but {
			return ""
		}
		if c.Probability >= bar && d.bot.objection(c) == "" {
			return c.Concept
		}
	}
	return ""
}

// leave closes the form and says so. Without a slot the person called it off.
func (d *decision) leave(form *conceptv1.Form, slot string) bool {
	d.take(form)
	d.unanswered, d.left = slot, true
	return d.try(concept.QuestionDropped, 1, nil, nil, time.Time{})
}

// openForm is the form that the text may answer; nil when there is none.
func (d *decision) openForm() *conceptv1.Form {
	form := d.open
	if form.GetConcept() == "" || d.req.ForceConcept != "" || slices.Contains(d.req.UsedConcepts, form.Concept) || slices.Contains(d.req.UsedConcepts, concept.QuestionDropped) {
		return nil
	}
	if c, ok := d.bot.concepts[form.Concept]; !ok || c.Disabled || d.bot.slots[form.Concept] == nil {
		return nil
	}
	return form
}

// continues reports whether a concept goes on with the open form.
func (d *decision) continues(name string) bool {
	return d.form != nil && !d.left && d.form.Concept == name
}

// reading is how a text of the person is read for a concept.
func (d *decision) reading(name, asked, said string) slots.Reading {
	language := d.req.LanguageCode
	if form := d.open; language == "" && asked != "" {
		language = form.GetLanguageCode()
	} else if language == "" {
		language = d.language
		if code, told := d.bot.tongues.Of(said); told {
			language = code
		}
	}
	return slots.Reading{Now: d.now, Language: language, Asked: asked, Fits: d.bot.schemas[name].Fits}
}

// heard is a value that a message of the person says.
type heard struct {
	slots.Found
	back uint32 // messages of the window back; 0 is the text at hand
}

// said is what the text says of the slots of a concept.
func (d *decision) said(name string) (all []heard) {
	asked := ""
	if d.continues(name) {
		asked = d.form.Slot
	}
	for _, f := range d.bot.slots[name].Read(d.req.Text, d.reading(name, asked, d.req.Text)) {
		all = append(all, heard{f, 0})
	}
	return all
}

// saidBefore is what earlier messages of the person say of them, each slot once; of several messages the newest counts.
func (d *decision) saidBefore(name string) (all []heard) {
	set := d.bot.slots[name]
	if !slices.ContainsFunc(set.List(), func(s slots.Slot) bool { return s.Earlier }) {
		return nil
	}
	for i, u := range slices.Backward(d.req.Window) {
		if u.Assistant {
			continue
		}
		r := d.reading(name, "", u.Text)
		r.Earlier = true
		if u.Time != nil {
			r.Now = u.Time.AsTime()
		}
		for _, f := range set.Read(u.Text, r) {
			if !slices.ContainsFunc(all, func(newer heard) bool { return newer.Slot == f.Slot }) {
				all = append(all, heard{f, uint32(len(d.req.Window) - i)})
			}
		}
	}
	return all
}

func valuesOf(all []heard) map[string]any {
	values := map[string]any{}
	for _, h := range all {
		values[h.Slot] = h.Value
	}
	return values
}

// places tells where the values of a payload that were read stand, in the order of what the person said last.
func places(from map[string]string, text, earlier []heard) (read []*conceptv1.ReadValue) {
	for source, all := range map[string][]heard{sourceText: text, sourceEarlier: earlier} {
		for _, h := range all {
			if from[h.Slot] == source {
				read = append(read, &conceptv1.ReadValue{Slot: h.Slot, MessagesBack: h.back, From: uint32(h.From), To: uint32(h.To)})
			}
		}
	}
	slices.SortFunc(read, func(a, b *conceptv1.ReadValue) int {
		return cmp.Or(cmp.Compare(a.MessagesBack, b.MessagesBack), cmp.Compare(a.From, b.From))
	})
	return read
}

// answers gives what the person answered to the form before.
func (d *decision) answers(name string) map[string]any {
	if !d.continues(name) {
		return nil
	}
	return object(d.form.PayloadJson)
}

// question is the template that asks for the first of the missing slots that may be asked for, with the form that is open after it;
// nil when none is asked for.
func (d *decision) question(name string, missing []string, payload map[string]any, from map[string]string) (*concept.Voice, *conceptv1.Form) {
	next := &conceptv1.Form{Concept: name, LanguageCode: d.language, Asked: map[string]uint32{}}
	if d.continues(name) {
		maps.Copy(next.Asked, d.form.Asked)
	}
	for _, slot := range d.bot.slots[name].List() {
		if !slices.Contains(missing, slot.Slot) {
			continue
		}
		if times := next.Asked[slot.Slot]; times > 0 {
			payload[concept.SlotAskedBefore] = json.Number(strconv.Itoa(int(times)))
		}
		picked, _, _ := concept.Pick(d.bot.voices[name], payload, d.wish(name, slot.Slot))
		if picked == nil {
			delete(payload, concept.SlotAskedBefore)
			continue
		}
		if next.Asked[slot.Slot] >= concept.MaxAsked {
			return nil, nil
		}
		given := map[string]any{}
		for slot, source := range from {
			if source == sourceText || source == sourceAnswer {
				given[slot] = payload[slot]
			}
		}
		body, err := json.Marshal(given)
		if err != nil || len(body) > maxForm {
			return nil, nil
		}
		next.Slot, next.PayloadJson = slot.Slot, string(body)
		next.Asked[slot.Slot]++
		return picked, next
	}
	return nil, nil
}
