package gateway

import (
	"strings"
	"unicode"
	"unicode/utf8"

	conceptv1 "dbslm/proto/dbslm/concept/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"google.golang.org/protobuf/proto"
)

// What the protos of the levels take. The gateway stays below these limits whatever memory returns, so that no
// long conversation and no large message makes a turn fail.
const (
	// replyLimit bounds a reply in bytes: CommitTurnRequest.content.
	replyLimit = 1 << 20
	// traceRoom is the size of a trace, in bytes, above which no segment is begun. A segment adds less than
	// 2.5 MiB: a span's payload, the answer of a provider and a signal's payload, all escaped. Together they stay
	// below Trace.body, 4 MiB.
	traceRoom = 1 << 20
	// historyTexts and historyBytes bound GenerateRequest.history together.
	historyTexts = 64
	historyBytes = 1 << 20
	// historyText bounds one text of the history, so that a long one leaves room for others.
	historyText = historyBytes / 2
	// biasLimit and biasBytes bound DecodeParameters.biases, and biasRoom the texts of those that memory adds: level 1
	// refuses more than 4,096 words that the model does not know.
	biasLimit = 64
	biasBytes = 1024
	biasRoom  = 8192
	// windowLimit, factLimit and correctionLimit bound the lists of NextRequest.
	windowLimit     = 256
	factLimit       = 256
	correctionLimit = 64
	// instructionBytes bounds RespondRequest.instructions, so that a trace has room beside them.
	instructionBytes = 64 << 10
	// failureBytes bounds ProvidedPayload.failure and FailTurnRequest.reason.
	failureBytes = 1024
)

// full reports whether the reply or its trace has no room for another segment.
func (t *turn) full() bool {
	return t.text.Len() >= replyLimit-utf8.UTFMax || proto.Size(t.trace) > traceRoom
}

// speakable is text as memory stores it: without NUL.
func speakable(text string) string { return strings.ReplaceAll(text, "\x00", "") }

// recent keeps the newest texts of a history, oldest first, each from its end, within the limits of level 1.
func recent(texts []string) []string {
	room := historyBytes
	first := len(texts)
	for first > 0 && room > 0 && len(texts)-first < historyTexts {
		first--
		texts[first] = tail(texts[first], min(room, historyText))
		room -= len(texts[first])
	}
	return texts[first:]
}

// head and tail are the longest beginning and end of s that have at most limit bytes and cut through no rune.
func head(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:max(limit, 0)]
}

func tail(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	from := len(s) - max(limit, 0)
	for from < len(s) && !utf8.RuneStart(s[from]) {
		from++
	}
	return s[from:]
}

// within is as much of the text as a reply has room for that says so many bytes already, and whether that is not all.
func within(text string, said int) (room string, cut bool) {
	room = head(text, replyLimit-said)
	return room, len(room) < len(text)
}

// fits reports whether level 1 takes a bias, which must hold something that can be said.
func fits(b *ngramv1.SequenceBias) bool {
	says := func(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsSpace(r) }
	return strings.ContainsFunc(b.Text, says) && len(b.Text) <= biasBytes && b.StrengthLog10 >= -20 && b.StrengthLog10 <= 20
}

// last keeps the end of a list, where the newest stand.
func last[T any](list []T, limit int) []T { return list[max(0, len(list)-limit):] }

// first keeps the beginning of a list, where the strongest stand.
func first[T any](list []T, limit int) []T { return list[:min(len(list), limit)] }

// trim keeps a request within the limits of level 3.
func trim(req *conceptv1.NextRequest) *conceptv1.NextRequest {
	req.Window = last(req.Window, windowLimit)
	req.Facts = first(req.Facts, factLimit)
	req.Corrections = first(req.Corrections, correctionLimit)
	return req
}
