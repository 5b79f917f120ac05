package concept

// The built-in concepts that every bot has.
const (
	ContextSummary   = "ContextSummary"
	CorrectionReplay = "CorrectionReplay"
	CorrectedFact    = "CorrectedFact"
)

// Built-in slots, filled by the service itself.
const (
	SlotDigest      = "context_digest"
	SlotStats       = "stats"
	SlotCorrections = "corrections"
	// Of the strongest correction that bears on the text: its value; and, when it names both, entity and attribute.
	SlotCorrectedValue     = "corrected_value"
	SlotCorrectedEntity    = "corrected_entity"
	SlotCorrectedAttribute = "corrected_attribute"
)

// BuiltIns returns the built-in concepts. A bot may disable one and give it templates of its own, which then
// replace these.
func BuiltIns() []Concept {
	return []Concept{
		{Name: ContextSummary, Description: "Sums up what was discussed.", BuiltIn: true, Version: 1},
		{Name: CorrectionReplay, Description: "Acknowledges a recorded correction. Spoken by its signal, never predicted.", BuiltIn: true, Version: 1},
		{Name: CorrectedFact, Description: "Answers with the correction that bears on what was asked, when no other concept holds it.", BuiltIn: true, Version: 1},
	}
}

// BuiltInTemplates returns the templates of the built-in concepts.
func BuiltInTemplates() []Template {
	t := func(concept, name, language, condition, text string) Template {
		return Template{
			ID: "built-in:" + concept + ":" + language + ":" + name, Concept: concept, Name: name,
			Language: language, Condition: condition, Text: text, Weight: 1, Version: 1,
		}
	}
	return []Template{
		t(ContextSummary, "digest", "", SlotDigest, "Based on our recent exchange: {context_digest}"),
		t(ContextSummary, "nothing", "", "!"+SlotDigest, "We have only just begun, so there is nothing to sum up yet."),
		t(ContextSummary, "digest", "de", SlotDigest, "Darüber haben wir gesprochen: {context_digest}"),
		t(ContextSummary, "nothing", "de", "!"+SlotDigest, "Wir haben gerade erst angefangen, da gibt es noch nichts zusammenzufassen."),
		t(ContextSummary, "digest", "pt", SlotDigest, "Com base na nossa conversa recente: {context_digest}"),
		t(ContextSummary, "nothing", "pt", "!"+SlotDigest, "Acabamos de começar, por isso ainda não há nada para resumir."),
		t(CorrectionReplay, "default", "", "", "Incorporating your latest correction: {corrections}."),
		t(CorrectionReplay, "default", "de", "", "Ihre letzte Korrektur ist übernommen: {corrections}."),
		t(CorrectionReplay, "default", "pt", "", "A sua última correção foi incorporada: {corrections}."),
		t(CorrectedFact, "fact", "", SlotCorrectedEntity, "The {corrected_attribute} of {corrected_entity} is {corrected_value}."),
		t(CorrectedFact, "value", "", "!"+SlotCorrectedEntity, "The right answer is {corrected_value}."),
		t(CorrectedFact, "fact", "de", SlotCorrectedEntity, "{corrected_entity}, {corrected_attribute}: {corrected_value}."),
		t(CorrectedFact, "value", "de", "!"+SlotCorrectedEntity, "Richtig ist {corrected_value}."),
		t(CorrectedFact, "fact", "es", SlotCorrectedEntity, "{corrected_entity}, {corrected_attribute}: {corrected_value}."),
		t(CorrectedFact, "value", "es", "!"+SlotCorrectedEntity, "La respuesta correcta es {corrected_value}."),
		t(CorrectedFact, "fact", "fr", SlotCorrectedEntity, "{corrected_entity}, {corrected_attribute} : {corrected_value}."),
		t(CorrectedFact, "value", "fr", "!"+SlotCorrectedEntity, "La bonne réponse est {corrected_value}."),
		t(CorrectedFact, "fact", "pt", SlotCorrectedEntity, "{corrected_entity}, {corrected_attribute}: {corrected_value}."),
		t(CorrectedFact, "value", "pt", "!"+SlotCorrectedEntity, "A resposta certa é {corrected_value}."),
	}
}

// BuiltInExamples returns the utterances that lead to the built-in concepts.
func BuiltInExamples() []Example {
	var out []Example
	for _, u := range []string{
		"remind me what we discussed",
		"remind me what we covered",
		"remind me what we talked about",
		"what did we talk about",
		"what have we talked about so far",
		"what did we discuss so far",
		"what have we discussed",
		"can you sum up what we discussed",
		"summarise our conversation",
		"summarize our discussion",
		"give me a summary of our conversation",
		"recap our conversation please",
		"where were we in our conversation",
		"worüber haben wir gesprochen",
		"fass unser Gespräch zusammen",
		"erinnere mich daran was wir besprochen haben",
		"sobre o que falamos",
		"resume a nossa conversa",
		"lembra-me do que falamos",
	} {
		out = append(out, Example{ContextSummary, u})
	}
	return out
}

// Training gives a bot's own examples and those of the built-in concepts as predict.Train wants them.
func Training(own []Example) [][2]string {
	var pairs [][2]string
	for _, e := range append(BuiltInExamples(), own...) {
		pairs = append(pairs, [2]string{e.Concept, e.Utterance})
	}
	return pairs
}

// IsBuiltIn reports whether every bot has a concept of this name.
func IsBuiltIn(name string) bool {
	return name == ContextSummary || name == CorrectionReplay || name == CorrectedFact
}

// IsBuiltInSlot reports whether the service fills a slot of this name itself.
func IsBuiltInSlot(slot string) bool {
	switch slot {
	case SlotDigest, SlotStats, SlotCorrections, SlotCorrectedValue, SlotCorrectedEntity, SlotCorrectedAttribute:
		return true
	}
	return false
}
