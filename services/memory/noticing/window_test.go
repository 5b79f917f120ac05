package noticing

import (
	"testing"

	"dbslm/services/memory"
)

// A correction says what the person said: of a reply, whose words may have to be forgotten, it quotes nothing.
func TestCorrectionQuotesNoReply(t *testing.T) {
	person := func(content string) memory.Message {
		return memory.Message{ID: content, ConversationID: "c", Sender: memory.SenderUser, Content: content}
	}
	reply := memory.Message{ID: "r", ConversationID: "c", Sender: memory.SenderAssistant, Content: "The Quokka counts in Rome."}
	for name, test := range map[string]struct {
		before  []memory.Message
		said    string
		context string
		noticed bool
	}{
		"a question":              {[]memory.Message{person("Where does it count?"), reply}, "No, it's Paris.", "Where does it count?", true},
		"a question of its own":   {[]memory.Message{person("What is the capital of France?"), reply}, "No, it's Paris.", "", true},
		"no question":             {[]memory.Message{reply}, "No, it's Paris.", "", false},
		"no question, but wrong":  {[]memory.Message{reply}, "It's Paris, not Rome.", "Rome", true},
		"nothing to be corrected": {nil, "No, it's Paris.", "", false},
	} {
		k, _, ok := Correction(test.before, person(test.said))
		if ok != test.noticed || ok && (k.ErrorContext != test.context || k.Fact.Value != "Paris" || k.ErrorMessageID != "r" || k.CorrectionMessageID != test.said) {
			t.Errorf("%s: %v, %+v", name, ok, k)
		}
	}
}

// What was said in vain, in turns that got no reply, is found by whatever is said next.
func TestFindWhatNobodyHeard(t *testing.T) {
	person := func(turn, content string) memory.Message {
		return memory.Message{ID: content, TurnID: turn, ConversationID: "c", Sender: memory.SenderUser, Content: content}
	}
	answered := []memory.Message{person("1", "What is the capital of Australia?"), {ID: "r", ConversationID: "c", TurnID: "1", Sender: memory.SenderAssistant, Content: "It is Sydney."}}
	for name, test := range map[string]struct {
		vain     []memory.Message
		said, by string // by is empty when nothing corrects
	}{
		"itself":                       {nil, "No, it's Canberra.", "No, it's Canberra."},
		"said again":                   {[]memory.Message{person("2", "No, it's Canberra!")}, "No, it's Canberra.", "No, it's Canberra."},
		"corrected in vain":            {[]memory.Message{person("2", "No, it's Canberra.")}, "And of Austria?", "No, it's Canberra."},
		"asked in vain since":          {[]memory.Message{person("2", "No, it's Canberra."), person("3", "Hello?")}, "Are you there?", "No, it's Canberra."},
		"another question between":     {[]memory.Message{person("2", "Who wrote Emma?")}, "No, it's Canberra.", ""},
		"imported, not said in a turn": {[]memory.Message{person("", "No, it's Canberra.")}, "And of Austria?", ""},
		"nothing":                      {[]memory.Message{person("2", "Thanks.")}, "And of Austria?", ""},
	} {
		k, by, _, ok := Find(append(answered[:2:2], test.vain...), person("9", test.said))
		if ok != (test.by != "") || ok && (by.Content != test.by || k.CorrectionMessageID != by.ID || k.ErrorMessageID != "r" || k.Fact.Value != "Canberra") {
			t.Errorf("%s: %v, by %q, %+v", name, ok, by.Content, k)
		}
	}
}
