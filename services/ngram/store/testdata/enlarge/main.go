// Command enlarge writes a corpus that is many times as large as the one it reads, and like it: sentences walk from word to word
// as the given ones do, and one word in 500 is new, so that the vocabulary grows as that of real text does. The same arguments
// give the same bytes.
//
//	go run ./services/ngram/store/testdata/enlarge --times 10 FILE... > large.txt
package main

import (
	"bufio"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"strings"
)

func main() {
	times := flag.Int("times", 10, "how many times as many tokens")
	flag.Parse()
	if err := run(flag.Args(), *times); err != nil {
		log.Fatal(err)
	}
}

func run(paths []string, times int) error {
	const end = "\n"
	after := map[string][]string{}
	tokens := 0
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(content)) {
			last := end
			for _, word := range strings.Fields(line) {
				after[last] = append(after[last], word)
				last = word
				tokens++
			}
			after[last] = append(after[last], end)
		}
	}
	if tokens == 0 {
		return fmt.Errorf("nothing to enlarge: name files that hold text")
	}
	random := rand.New(rand.NewPCG(1, 2))
	w := bufio.NewWriterSize(os.Stdout, 1<<20)
	words := 0
	for written := 0; written < times*tokens; {
		last, first := end, true
		for {
			next := after[last][random.IntN(len(after[last]))]
			if next == end && !first {
				break
			}
			if next == end {
				continue
			}
			if !first {
				w.WriteByte(' ')
			}
			if random.IntN(500) == 0 {
				words++
				fmt.Fprintf(w, "w%d", words)
			} else {
				w.WriteString(next)
			}
			last, first = next, false
			written++
		}
		w.WriteByte('\n')
	}
	return w.Flush()
}
