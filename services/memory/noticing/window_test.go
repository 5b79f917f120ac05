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
