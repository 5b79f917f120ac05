package concept

import "slices"

// The built-in concepts that every bot has.
const (
	ContextSummary   = "ContextSummary"
	CorrectionReplay = "CorrectionReplay"
	CorrectedFact    = "CorrectedFact"
	ReplyExplained   = "ReplyExplained"
	QuestionDropped  = "QuestionDropped"
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
	// Of a reply that a person asks about: the words asked about; the concept that said them and how probable it was, unset when a
	// signal asked for it; the correction that they hold; and of words that level 1 wrote what stood before the first of them in
	// the texts, how often, and the most words in a row that stand there.
	SlotReplyWords       = "reply_words"
	SlotReplyConcept     = "reply_concept"
	SlotReplyProbability = "reply_probability"
	SlotReplyCorrection  = "reply_correction"
	SlotReplyContext     = "reply_context"
	SlotReplyCount       = "reply_count"
	SlotReplyRun         = "reply_run"
	// The slot that a person was asked for and did not give; unset when the person called it off.
	SlotUnanswered = "unanswered"
	// How often the slot of a question was asked for before; unset the first time.
	SlotAskedBefore = "asked_before"
)

// replySlots are the built-in slots about an earlier reply.
var replySlots = []string{SlotReplyWords, SlotReplyConcept, SlotReplyProbability, SlotReplyCorrection, SlotReplyContext, SlotReplyCount, SlotReplyRun}

// BuiltIns returns the built-in concepts. A bot may disable one and give it templates of its own, which then
// replace these.
func BuiltIns() []Concept {
	return []Concept{
		{Name: ContextSummary, Description: "Sums up what was discussed.", BuiltIn: true, Version: 1},
		{Name: CorrectionReplay, Description: "Acknowledges a recorded correction. Spoken by its signal, never predicted.", BuiltIn: true, Version: 1},
		{Name: CorrectedFact, Description: "Answers with the correction that bears on what was asked, when no other concept holds it.", BuiltIn: true, Version: 1},
		{Name: ReplyExplained, Description: "Says why something was said, when a person asks. Spoken for that question, never predicted.", BuiltIn: true, Version: 1},
		{Name: QuestionDropped, Description: "Says that a question is left, because the person called it off or did not answer it. Never predicted.", BuiltIn: true, Version: 1},
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
	templates := []Template{
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
		t(QuestionDropped, "called_off", "", "!"+SlotUnanswered, "All right, let us leave it."),
		t(QuestionDropped, "called_off", "de", "!"+SlotUnanswered, "Gut, lassen wir das."),
		t(QuestionDropped, "called_off", "es", "!"+SlotUnanswered, "De acuerdo, lo dejamos."),
		t(QuestionDropped, "called_off", "fr", "!"+SlotUnanswered, "D’accord, laissons cela."),
		t(QuestionDropped, "called_off", "pt", "!"+SlotUnanswered, "Está bem, deixemos isso."),
		t(QuestionDropped, "unanswered", "", SlotUnanswered, "I could not make that out, so let us leave it. You can always begin again."),
		t(QuestionDropped, "unanswered", "de", SlotUnanswered, "Das habe ich nicht verstanden, lassen wir es. Sie können jederzeit neu beginnen."),
		t(QuestionDropped, "unanswered", "es", SlotUnanswered, "No lo he entendido, así que lo dejamos. Puede empezar de nuevo cuando quiera."),
		t(QuestionDropped, "unanswered", "fr", SlotUnanswered, "Je n’ai pas compris, laissons cela. Vous pouvez recommencer quand vous voulez."),
		t(QuestionDropped, "unanswered", "pt", SlotUnanswered, "Não percebi, por isso deixemos isso. Pode recomeçar quando quiser."),
	}
	for _, why := range []struct{ name, condition string }{
		{"correction", "reply_correction"},
		{"signal", "!reply_correction & reply_concept & !reply_probability"},
		{"concept", "!reply_correction & reply_concept & reply_probability"},
		{"context", "!reply_correction & !reply_concept & reply_context"},
		{"free", "!reply_correction & !reply_concept & !reply_context"},
	} {
		for language, text := range whyTemplates[why.name] {
			templates = append(templates, t(ReplyExplained, why.name, language, why.condition, text))
		}
	}
	return templates
}

// whyTemplates say why something was said, by reason and language.
var whyTemplates = map[string]map[string]string{
	"correction": {
		"":   "I said “{reply_words}” because of a correction: {reply_correction}.",
		"de": "„{reply_words}“ habe ich wegen einer Korrektur gesagt: {reply_correction}.",
		"fr": "J’ai dit « {reply_words} » à cause d’une correction : {reply_correction}.",
		"es": "Dije «{reply_words}» por una corrección: {reply_correction}.",
		"pt": "Eu disse “{reply_words}” por causa de uma correção: {reply_correction}.",
	},
	"signal": {
		"":   "I said “{reply_words}” because a signal asked for {reply_concept}.",
		"de": "„{reply_words}“ habe ich gesagt, weil ein Signal {reply_concept} verlangt hat.",
		"fr": "J’ai dit « {reply_words} » parce qu’un signal a demandé {reply_concept}.",
		"es": "Dije «{reply_words}» porque una señal pidió {reply_concept}.",
		"pt": "Eu disse “{reply_words}” porque um sinal pediu {reply_concept}.",
	},
	"concept": {
		"":   "I said “{reply_words}” because I took what you said for {reply_concept}, with a probability of {reply_probability|percent}.",
		"de": "„{reply_words}“ habe ich gesagt, weil ich Sie so verstand: {reply_concept}, mit einer Wahrscheinlichkeit von {reply_probability|percent}.",
		"fr": "J’ai dit « {reply_words} » parce que j’ai compris {reply_concept}, avec une probabilité de {reply_probability|percent}.",
		"es": "Dije «{reply_words}» porque entendí {reply_concept}, con una probabilidad de {reply_probability|percent}.",
		"pt": "Eu disse “{reply_words}” porque entendi {reply_concept}, com uma probabilidade de {reply_probability|percent}.",
	},
	"context": {
		"":   "I said “{reply_words}” because after “{reply_context}” that is what I have read, {reply_count|plural:one='once',other='# times'}.",
		"de": "„{reply_words}“ habe ich gesagt, weil ich das nach „{reply_context}“ gelesen habe, {reply_count|plural:one='einmal',other='# Mal'}.",
		"fr": "J’ai dit « {reply_words} » parce que je l’ai lu après « {reply_context} », {reply_count|plural:one='une fois',other='# fois'}.",
		"es": "Dije «{reply_words}» porque lo he leído después de «{reply_context}», {reply_count|plural:one='una vez',other='# veces'}.",
		"pt": "Eu disse “{reply_words}” porque o li depois de “{reply_context}”, {reply_count|plural:one='uma vez',other='# vezes'}.",
	},
	"free": {
		"":   "I put “{reply_words}” together word by word from what I have read{?reply_run}, up to {reply_run} words in a row as they stand there{/}.",
		"de": "„{reply_words}“ habe ich Wort für Wort aus dem zusammengesetzt, was ich gelesen habe{?reply_run}, bis zu {reply_run} Wörter am Stück wie dort{/}.",
		"fr": "J’ai composé « {reply_words} » mot à mot à partir de ce que j’ai lu{?reply_run}, jusqu’à {reply_run} mots à la suite comme là-bas{/}.",
		"es": "Compuse «{reply_words}» palabra por palabra con lo que he leído{?reply_run}, hasta {reply_run} palabras seguidas como allí{/}.",
		"pt": "Eu compus “{reply_words}” palavra por palavra com o que li{?reply_run}, até {reply_run} palavras seguidas como lá{/}.",
	},
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
	return name == ContextSummary || name == CorrectionReplay || name == CorrectedFact || name == ReplyExplained || name == QuestionDropped
}

// IsBuiltInSlot reports whether the service fills a slot of this name itself.
func IsBuiltInSlot(slot string) bool {
	switch slot {
	case SlotDigest, SlotStats, SlotCorrections, SlotCorrectedValue, SlotCorrectedEntity, SlotCorrectedAttribute, SlotUnanswered, SlotAskedBefore:
		return true
	}
	return slices.Contains(replySlots, slot)
}
