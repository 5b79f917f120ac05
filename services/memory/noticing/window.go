package noticing

import (
	"dbslm/pkg/text"
	"dbslm/services/memory"
)

// maxContext bounds the words of a question that stand for what was wrong, in bytes.
const maxContext = 1024

// Correction returns the correction of scope conversation that a person's message makes of what was said before it, oldest
// first, and the name of the rule that recognised it. What is corrected is the reply to the latest message of the person
// that was no correction itself: "No, it's Lyon. – No, sorry, it's Paris" is about one question. It says what the person said and
// never quotes a reply, whose words go when a document is forgotten; without a question, what is wrong must be named.
func Correction(before []memory.Message, said memory.Message) (k memory.Correction, rule string, ok bool) {
	n := len(before)
	if n == 0 || before[n-1].Sender != memory.SenderAssistant {
		return k, "", false
	}
	reply := before[n-1]
	var question memory.Message
	for i := n - 2; i >= 0; i-- {
		if before[i].Sender != memory.SenderUser || Corrects(before[i].Content) {
			continue
		}
		question = before[i]
		if before[i+1].Sender == memory.SenderAssistant {
			reply = before[i+1]
		}
		break
	}
	noticed, ok := Notice(said.Content, Exchange{Question: question.Content, Reply: before[n-1].Content})
	if !ok {
		return k, "", false
	}
	k = memory.Correction{
		Place:          memory.Place{Scope: memory.ScopeConversation, ConversationID: said.ConversationID},
		ErrorMessageID: reply.ID, CorrectionMessageID: said.ID, ErrorContext: noticed.Wrong,
		Fact: memory.CorrectedFact{Entity: noticed.Entity, Attribute: noticed.Attribute, Value: noticed.Right},
	}
	if k.ErrorContext == "" && k.Fact.Entity == "" {
		k.ErrorContext = text.Truncate(question.Content, maxContext)
	}
	_, err := k.Complete()
	return k, noticed.Rule, err == nil
}
