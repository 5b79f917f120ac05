package decoding

import (
	"strings"
	"testing"

	"dbslm/pkg/text"
)

func TestProse(t *testing.T) {
	words, err := text.NewTokenizer(text.Words, "", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ tokens, want string }{
		{`well , prince , so genoa and lucca are now just family estates .`, "Well, prince, so genoa and lucca are now just family estates."},
		{`i don ' t know , said he ; " you ' ll see ! "`, "I don't know, said he; “You'll see!”"},
		{`“ don ’ t go ! ” she cried`, "“Don't go!” she cried"},
		{`' tis nothing , my lord`, "'Tis nothing, my lord"},
		{`the soldiers ' boots`, "The soldiers’ boots"},
		{`he said ' no ' and left .`, "He said ‘no’ and left."},
		{`a ( small ) thing`, "A (small) thing"},
	} {
		p := NewProse(words.Joiner(nil))
		var got strings.Builder
		for _, token := range strings.Fields(test.tokens) {
			got.WriteString(p.Add(token))
		}
		got.WriteString(p.EndSentence())
		if got.String() != test.want {
			t.Errorf("%s\n got %s\nwant %s", test.tokens, got.String(), test.want)
		}
	}
}
