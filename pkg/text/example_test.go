package text_test

import (
	"fmt"
	"strings"

	"dbslm/pkg/text"
)

// Text becomes tokens that remember how they were written, and comes back from them.
func ExampleTokenizer() {
	tokenizer, err := text.NewTokenizer(text.Words, "", text.NFC)
	if err != nil {
		fmt.Println(err)
		return
	}
	surfaces := map[string]string{}
	err = tokenizer.Sentences(strings.NewReader("“Don’t wait,” said Anna’s\nfriend. Mr. Pell—waited."), func(s text.Sentence) error {
		for _, token := range s.Tokens {
			if !token.Initial {
				surfaces[string(token.Text)] = string(token.Written())
			}
		}
		fmt.Println(strings.Join(s.Texts(), " "))
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
	form := func(token string, _ bool) string { return surfaces[token] }
	fmt.Println(tokenizer.Detokenize(strings.Fields("anna 's friend — pell — said : “ wait . ”"), form))
	// Output:
	// “ don't wait , ” said anna 's friend .
	// mr. pell — waited .
	// Anna’s friend—Pell—said: “Wait.”
}

// A joiner gives the text of a reply while its tokens are still being drawn.
func ExampleJoiner() {
	tokenizer, err := text.NewTokenizer(text.Words, "", text.NFC)
	if err != nil {
		fmt.Println(err)
		return
	}
	joiner := tokenizer.Joiner(nil)
	for _, token := range []string{"the", "clock", "(", "it", "'s", "old", ")", "stopped", "."} {
		fmt.Printf("[%s]", joiner.Add(token))
	}
	fmt.Println(joiner.EndSentence() + joiner.Add("nobody"))
	// Output: [The][ clock][ (][it]['s][ old][)][ stopped][.] Nobody
}

func ExampleFoldKey() {
	fmt.Println(text.FoldKey("  Café\tNOIR ") == text.FoldKey("cafe noir"))
	// Output: true
}

func ExampleContentWords() {
	fmt.Println(text.ContentWords("What did we say about Anna's museum?", "en"))
	// Output: [anna museum]
}
