package noticing

import (
	"slices"

	"dbslm/pkg/text"
	"dbslm/services/memory"
)

// maxContext bounds the words of a question that stand for what was wrong, in bytes.
const maxContext = 1024

// Messages and Bytes are how much of what was said before a message may matter to what it corrects, whatever a reply may see.
const (
	Messages = 12
	Bytes    = 64 << 10
)

// Find returns the correction that a person's message makes of what was said before it, as Correction does; or else the one that an
// earlier message made whose turn ended without a reply, so that nobody heard of it. Messages that were said in vain do not stand between
// a reply and its correction if they are corrections too: whoever gets no answer says it again. by is the message that corrects.
func Find(before []memory.Message, said memory.Message) (k memory.Correction, by memory.Message, rule string, ok bool) {
	end := len(before)
	for end > 0 && before[end-1].Sender == memory.SenderUser && before[end-1].TurnID != "" {
		end--
	}
	answered, vain := before[:end], append(slices.Clone(before[end:]), said)
	for i, by := range slices.Backward(vain) {
		if slices.ContainsFunc(vain[:i], func(m memory.Message) bool { return !Corrects(m.Content) }) {
			continue
		}
		if k, rule, ok = Correction(answered, by); ok {
			return k, by, rule, true
		}
	}
	return k, by, "", false
}

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
