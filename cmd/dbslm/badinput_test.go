package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"dbslm/pkg/database"
	conceptstore "dbslm/services/concept/store"
	memorystore "dbslm/services/memory/store"
	ngramstore "dbslm/services/ngram/store"

	"github.com/google/go-cmp/cmp"
)

// badInput is a command line that must be refused: in one line, with exit code 2, and without changing anything. The
// document docs/bad-input.md lists all of them with what they print.
type badInput struct {
	given   string   // for the document
	prepare []string // files and what they hold, in turn
	stdin   string
	args    []string
}

// arpa is a small model as other toolkits write it.
const arpa = "\\data\\\nngram 1=5\nngram 2=3\nngram 3=1\n\n\\1-grams:\n-1\t<unk>\n0\t<s>\t-0.2\n-0.6\t</s>\n-0.5\tthe\t-0.1\n-0.5\tboat\t-0.1\n\n" +
	"\\2-grams:\n-0.4\t<s> the\t-0.1\n-0.3\tthe boat\t-0.1\n-0.2\tboat </s>\n\n\\3-grams:\n-0.1\tthe boat </s>\n\n\\end\\\n"

const prototypeHeader = "SQLite format 3\x00"

// refusals run in a directory with harbour.txt and a store in which it is the model "default" (order 3, words).
func refusals() map[string][]badInput {
	long := strings.Repeat("x", 1025)
	in := func(p string, args ...string) []string { return append(args, "--db", p) }
	return map[string][]badInput{
		"Command lines": {
			{given: "a mistyped command", args: []string{"trian"}},
			{given: "an unknown command", args: []string{"reticulate"}},
			{given: "an unknown flag", args: []string{"train", "--ordre", "3"}},
			{given: "a flag that is not a number", args: []string{"train", "harbour.txt", "--order", "three"}},
			{given: "a missing argument", args: []string{"eval"}},
			{given: "an argument too many", args: []string{"eval", "harbour.txt", "other.txt"}},
			{given: "an argument where none is taken", args: []string{"chat", "hello"}},
			{given: "an unknown log level", args: in("store", "models", "--log-level", "loud")},
			{given: "an unknown service", args: []string{"serve", "ngrams"}},
			{given: "a gateway without peers", args: []string{"serve", "gateway"}},
			{given: "one address for several services", args: []string{"serve", "concept", "memory", "--listen", "127.0.0.1:0"}},
			{given: "a door for HTTP without the gateway", args: in("store", "serve", "ngram", "--http-listen", "127.0.0.1:0")},
			{given: "a name for HTTP without a door", args: in("store", "serve", "--http-host", "models.example")},
			{given: "no place for a turn", args: in("store", "serve", "--max-turns", "0")},
			{given: "an address that cannot be listened on", args: in("store", "serve", "--listen", "192.0.2.1:7400")},
			{given: "a server address that is none", args: []string{"models", "--server", "elsewhere"}},
			{given: "a server on another machine, without TLS", args: []string{"models", "--server", "192.0.2.1:7400"}},
			{given: "a URL with one slash", args: in("mysql:/root:secret@db/", "train", "harbour.txt")},
			{given: "a port that is none", args: in("mysql://root@db:abc/", "models")},
			{given: "a name that is not UTF-8", args: in("store", "models", "--tenant", "caf\xe9")},
			{given: "a tenant with a space at its end", args: in("store", "models", "--tenant", "default ")},
			{given: "certificates that are not there", args: in("store", "serve", "--tls-cert", "cert.pem", "--tls-key", "key.pem")},
			{given: "a certificate without its key", args: in("store", "serve", "--tls-cert", "harbour.txt")},
			{given: "authorities that are none", args: []string{"models", "--server", "127.0.0.1:7400", "--tls-ca", "harbour.txt"}},
			{given: "a collector that is no URL", args: in("store", "serve", "--otlp-endpoint", "collector:4317")},
			{given: "a migration through a server", args: []string{"migrate", "--server", "127.0.0.1:7400"}},
			{given: "a migration of what has no tables", args: in("store", "migrate", "gateway")},
			{given: "a negative number of turns", args: in("store", "chat", "--max-turns", "-1")},
			{given: "no number of predictions", args: in("store", "predict", "the", "--top", "0")},
			{given: "too many tokens to explain", args: in("store", "predict", "the", "--explain", "--explain-tokens", "1001")},
			{given: "no contexts", args: in("store", "contexts", "--limit", "0")},
			{given: "one evaluation to compare", args: in("store", "evaluations", "compare", "x")},
			{given: "an unknown evaluation", args: in("store", "evaluations", "show", "x")},
			{given: "a hash that is none", args: in("store", "evaluations", "list", "--text-sha256", "beef")},
			{given: "a build without its model", args: in("store", "evaluations", "list", "--build", "1")},
			{given: "no build but a name", args: in("store", "builds", "publish", "latest")},
			{given: "an unknown estimator", args: in("store", "builds", "create", "--smoothing", "good-turing")},
			{given: "a pruning that leaves out nothing", args: in("store", "prune")},
			{given: "a cut-off for words", args: in("store", "prune", "--cutoffs", "1,1")},
			{given: "cut-offs that decrease", args: in("store", "prune", "--cutoffs", "0,2,1")},
			{given: "cut-offs for more orders than there are", args: in("store", "prune", "--cutoffs", "0,0,0,1")},
			{given: "a negative threshold", args: in("store", "prune", "--threshold", "-1")},
			{given: "a threshold and a target", args: in("store", "prune", "--threshold", "1e-6", "--target-ngrams", "100")},
			{given: "a size that is none", args: in("store", "prune", "--target-size", "small")},
		},
		"Stores": {
			{given: "a mistyped path", args: in("stroe", "chat", "--prompt", "Hello.")},
			{given: "a mistyped path", args: in("stroe", "models")},
			{given: "a mistyped path", args: in("stroe", "builds")},
			{given: "a mistyped path", args: in("stroe", "eval", "harbour.txt")},
			{given: "a mistyped path", args: in("stroe", "serve", "--listen", "127.0.0.1:0")},
			{given: "a directory without a store", prepare: []string{"texts/a.txt", "A text."}, args: in("texts", "chat", "--prompt", "Hello.")},
			{given: "no path", args: in("", "models")},
			{given: "a store that ends with the command", args: in(":memory:", "train", "harbour.txt")},
			{given: "a file", args: in("harbour.txt", "train", "harbour.txt")},
			{given: "a path below a file", args: in("harbour.txt/store", "train", "harbour.txt")},
			{given: "a file of the original prototype", prepare: []string{"var/db_slm.sqlite3", prototypeHeader}, args: in("var/db_slm.sqlite3", "chat", "--prompt", "Hello.")},
			{given: "a file of the original prototype", prepare: []string{"var/db_slm.sqlite3", prototypeHeader}, args: in("var/db_slm.sqlite3", "train", "harbour.txt")},
			{given: "the directory of the original prototype", prepare: []string{"var/db_slm.sqlite3", prototypeHeader}, args: in("var", "train", "harbour.txt")},
			{given: "one file of a store", args: in("store/dbslm_ngram.sqlite3", "models")},
			{given: "a store whose file is no database", prepare: []string{"broken/dbslm_ngram.sqlite3", strings.Repeat("no database ", 1000)}, args: in("broken", "models")},
			{given: "an unknown scheme", args: in("postgres://localhost/", "models")},
			{given: "a database server without scheme", args: in("root@tcp(localhost)/", "models")},
			{given: "a database server with an unknown parameter", args: in("mysql://root@localhost/?color=red", "models")},
		},
		"Models, builds, conversations": {
			{given: "an unknown model", args: in("store", "models", "nobody")},
			{given: "an unknown model", args: in("store", "chat", "--model", "nobody")},
			{given: "an unknown model", args: in("store", "chat", "--model", "nobody", "--prompt", "Hello.")},
			{given: "an unknown model", args: in("store", "eval", "harbour.txt", "--model", "nobody")},
			{given: "an unknown model", args: in("store", "builds", "--model", "nobody")},
			{given: "an unknown model", args: in("store", "builds", "create", "--model", "nobody")},
			{given: "a model name that is none", args: in("store", "train", "harbour.txt", "--model", "two words")},
			{given: "an unknown build", args: in("store", "builds", "publish", "99")},
			{given: "an unknown build", args: in("store", "eval", "harbour.txt", "--build", "99")},
			{given: "an unknown build", args: in("store", "predict", "the", "--build", "99")},
			{given: "an unknown model", args: in("store", "contexts", "--model", "nobody")},
			{given: "an unknown model", stdin: "The boat.\n", args: in("store", "score", "--model", "nobody")},
			{given: "no earlier build", args: in("store", "builds", "rollback")},
			{given: "an unknown conversation", args: in("store", "chat", "--conversation", "0193e4a1-0000-7000-8000-000000000000")},
			{given: "an unknown conversation", args: in("store", "chat", "--conversation", "yesterday", "--prompt", "Hello.")},
			{given: "an unknown bot", args: in("store", "chat", "--bot", "nobody", "--prompt", "Hello.")},
			{given: "an unknown bot", args: in("store", "concepts", "list", "--bot", "nobody")},
			{given: "an unknown bot", args: in("store", "concepts", "predict", "Hello.", "--bot", "nobody")},
			{given: "an unknown build of a bot", args: in("store", "concepts", "predict", "Hello.", "--build", "99")},
			{given: "no build of a bot but a name", args: in("store", "concepts", "publish", "latest")},
			{given: "a bot without a build", args: in("store", "concepts", "rollback")},
			{given: "an utterance that is none", args: in("store", "concepts", "predict", " ")},
			{given: "no number of concepts", args: in("store", "concepts", "predict", "Hello.", "--top", "0")},
			{given: "a signal for no conversation", args: in("store", "signals", "push", "ContextSummary")},
			{given: "a signal for an unknown conversation", args: in("store", "signals", "push", "ContextSummary", "--conversation", "0193e4a1-0000-7000-8000-000000000000")},
			{given: "a signal that expires at once", args: in("store", "signals", "push", "ContextSummary", "--conversation", "0193e4a1-0000-7000-8000-000000000000", "--expires", "0s")},
			{given: "a signal of no urgency", args: in("store", "signals", "push", "ContextSummary", "--conversation", "0193e4a1-0000-7000-8000-000000000000", "--score", "NaN")},
			{given: "a signal of the past", args: in("store", "signals", "push", "ContextSummary", "--conversation", "0193e4a1-0000-7000-8000-000000000000", "--at", "2001-01-01 12:00")},
			{given: "a time that is none", args: in("store", "signals", "push", "ContextSummary", "--conversation", "0193e4a1-0000-7000-8000-000000000000", "--in", "soon")},
			{given: "two times", args: in("store", "signals", "push", "ContextSummary", "--conversation", "0193e4a1-0000-7000-8000-000000000000", "--in", "2h", "--at", "2001-01-01 12:00")},
			{given: "a signal that is due again before it expires", args: in("store", "signals", "push", "ContextSummary", "--conversation", "0193e4a1-0000-7000-8000-000000000000", "--every", "1m")},
			{given: "signals of no conversation", args: in("store", "signals", "list")},
			{given: "signals of an unknown conversation", args: in("store", "signals", "list", "--conversation", "yesterday")},
			{given: "an unknown signal", args: in("store", "signals", "cancel", "0193e4a1-0000-7000-8000-000000000000")},
			{given: "a review by nobody", args: in("store", "concepts", "learn", "--by", "")},
			{given: "a missing file of utterances", args: in("store", "concepts", "eval", "nothere.tsv")},
			{given: "utterances without concepts", args: in("store", "concepts", "eval", "harbour.txt")},
			{given: "utterances without concepts", args: in("store", "concepts", "import", "harbour.txt")},
			{given: "a concept name that is none", prepare: []string{"m.tsv", "open?\tOpening hours\n"}, args: in("store", "concepts", "import", "m.tsv")},
			{given: "concepts that the bot does not have", prepare: []string{"m.tsv", "open?\tHours\n"}, args: in("store", "concepts", "eval", "m.tsv")},
			{given: "utterances that are not UTF-8", prepare: []string{"m.tsv", "caf\xe9\tHours\n"}, args: in("store", "concepts", "import", "m.tsv")},
			{given: "a report in a directory that is missing", prepare: []string{"m.tsv", "open?\tContextSummary\n"}, args: in("store", "concepts", "eval", "m.tsv", "--html", "nowhere/r.html")},
			{given: "documents of an unknown model", args: in("store", "documents", "--model", "nobody")},
			{given: "no document to forget", args: in("store", "forget")},
			{given: "an unknown document", args: in("store", "forget", "nothere.txt", "--yes")},
			{given: "a document of an unknown model", args: in("store", "forget", "harbour.txt", "--model", "nobody", "--yes")},
			{given: "the text of another document", prepare: []string{"other.txt", "The dog."}, args: in("store", "forget", "harbour.txt", "--text", "other.txt", "--yes")},
			{given: "a missing text of a document", args: in("store", "forget", "harbour.txt", "--text", "nothere.txt", "--yes")},
			{given: "a copy without a name", args: in("store", "copy", "default")},
			{given: "a copy under a name that is taken", args: in("store", "copy", "default", "default")},
			{given: "a copy of an unknown model", args: in("store", "copy", "nobody", "new")},
			{given: "a copy under a name that is none", args: in("store", "copy", "default", "two words")},
			{given: "a copy from a mistyped path", args: in("store", "copy", "default", "new", "--from-db", "stroe")},
			{given: "a copy between stores through a server", args: []string{"copy", "default", "--server", "127.0.0.1:7400", "--to-db", "there"}},
			{given: "a rebuilt model without a name", args: in("store", "models", "rebuild", "default")},
			{given: "a rebuilt model under its own name", args: in("store", "models", "rebuild", "default", "default", "--order", "5")},
			{given: "an unknown model to rebuild", args: in("store", "models", "rebuild", "nobody", "new")},
			{given: "a form that kept text has lost", args: in("store", "models", "rebuild", "default", "new", "--normalization", "none")},
			{given: "more cut-offs than orders", args: in("store", "models", "rebuild", "default", "new", "--order", "2", "--cutoffs", "0,0,1")},
			{given: "an order below 1", args: in("store", "train", "harbour.txt", "--order", "0")},
			{given: "an order below 1", args: in("store", "train", "harbour.txt", "--order", "-2")},
			{given: "an order above 255", args: in("store", "train", "harbour.txt", "--ngram-order", "256")},
			{given: "an order other than the model's", args: in("store", "train", "harbour.txt", "--order", "5")},
			{given: "a tokeniser other than the model's", args: in("store", "train", "harbour.txt", "--tokenizer", "bytes")},
			{given: "a normalisation other than the model's", args: in("store", "train", "harbour.txt", "--normalization", "nfkc")},
			{given: "a policy other than the model's", args: in("store", "train", "harbour.txt", "--unk", "literal")},
			{given: "an unknown tokeniser", args: in("store", "train", "harbour.txt", "--tokenizer", "bpe")},
			{given: "an unknown storage", args: in("store", "train", "harbour.txt", "--storage", "4")},
		},
		"Texts to train on or to measure": append(formatRefusals(), []badInput{
			{given: "nothing", args: in("store", "train")},
			{given: "a missing file", args: in("store", "train", "harbour.txt", "nothere.txt")},
			{given: "a missing file", args: in("store", "eval", "nothere.txt")},
			{given: "a directory without text", prepare: []string{"empty/notes.md", "Not a .txt file."}, args: in("store", "train", "empty")},
			{given: "a directory without text", prepare: []string{"empty/notes.md", "Not a .txt file."}, args: in("store", "train", "empty", "--recursive")},
			{given: "a file whose name is not UTF-8", prepare: []string{"texts/caf\xe9.txt", "A text."}, args: in("store", "train", "texts")},
			{given: "a file whose path is long", prepare: []string{"texts/" + strings.Repeat(strings.Repeat("x", 99)+"/", 6) + "a.txt", "A text."}, args: in("store", "train", "texts", "--recursive")},
			{given: "a directory to measure", prepare: []string{"texts/a.txt", "A text."}, args: in("store", "eval", "texts")},
			{given: "an empty file", prepare: []string{"empty.txt", ""}, args: in("store", "train", "empty.txt")},
			{given: "a file of spaces and empty lines", prepare: []string{"blank.txt", " \n\t\r\n\n"}, args: in("store", "train", "blank.txt")},
			{given: "empty standard input", args: in("store", "train", "--stdin")},
			{given: "a label for a file", args: in("store", "train", "harbour.txt", "--label", "harbour")},
			{given: "a label of nothing", stdin: "The boat.\n", args: in("store", "train", "-", "--label", "")},
			{given: "an empty file", prepare: []string{"empty.txt", ""}, args: in("store", "eval", "empty.txt")},
			{given: "another encoding than UTF-8", prepare: []string{"latin1.txt", "The caf\xe9 is closed.\n"}, args: in("store", "train", "harbour.txt", "latin1.txt")},
			{given: "another encoding than UTF-8", prepare: []string{"latin1.txt", "The caf\xe9 is closed.\n"}, args: in("store", "eval", "latin1.txt")},
			{given: "another encoding than UTF-8", stdin: "The caf\xe9 is closed.\n", args: in("store", "train", "--stdin")},
			{given: "bytes that the encoding does not know", prepare: []string{"cut.txt", "\xff\xfeT\x00h\x00e"}, args: in("store", "train", "cut.txt")},
			{given: "an unknown encoding", args: in("store", "train", "harbour.txt", "--encoding", "klingon")},
			{given: "other text under a label that the model has", prepare: []string{"harbour.txt", "Another text under the same name.\n"}, args: in("store", "train", "harbour.txt")},
			{given: "a model's own mark as a token", prepare: []string{"marks.txt", "the boat <s> is here\n"}, args: in("store", "train", "harbour.txt", "marks.txt", "--model", "quay", "--tokenizer", "whitespace")},
			{given: "a model's own mark as a token", prepare: []string{"marks.txt", "no\nthe boat is <unk>\n"}, args: in("store", "train", "marks.txt", "--model", "quay", "--tokenizer", "whitespace")},
			{given: "a line that its encoding does not allow", stdin: "The caf\xe9 is closed.\n", args: in("store", "score")},
			{given: "a missing file", args: in("store", "score", "harbour.txt", "nothere.txt")},
			{given: "a directory to score", prepare: []string{"texts/a.txt", "A text."}, args: in("store", "score", "texts")},
			{given: "an unknown encoding", args: in("store", "score", "harbour.txt", "--encoding", "klingon")},
			{given: "a token longer than 1024 bytes", prepare: []string{"long.txt", "the boat " + long + " is here\n"}, args: in("store", "train", "long.txt", "--model", "quay", "--tokenizer", "whitespace")},
		}...),
		"Models made elsewhere": {
			{given: "a missing file", args: in("store", "import", "nothere.arpa", "--model", "quay")},
			{given: "a directory", prepare: []string{"texts/a.txt", "A text."}, args: in("store", "import", "texts", "--model", "quay")},
			{given: "a text", args: in("store", "import", "harbour.txt", "--model", "quay")},
			{given: "an ARPA file that is cut off", prepare: []string{"m.arpa", arpa[:len(arpa)/2]}, args: in("store", "import", "m.arpa", "--model", "quay")},
			{given: "an ARPA file without its end", prepare: []string{"m.arpa", strings.TrimSuffix(arpa, "\\end\\\n")}, args: in("store", "import", "m.arpa", "--model", "quay")},
			{given: "a wrong count in the header", prepare: []string{"m.arpa", strings.Replace(arpa, "ngram 2=3", "ngram 2=4", 1)}, args: in("store", "import", "m.arpa", "--model", "quay")},
			{given: "a positive logarithm", prepare: []string{"m.arpa", strings.Replace(arpa, "-0.3\tthe boat", "0.3\tthe boat", 1)}, args: in("store", "import", "m.arpa", "--model", "quay")},
			{given: "an n-gram twice", prepare: []string{"m.arpa", strings.Replace(arpa, "<s> the", "the boat", 1)}, args: in("store", "import", "m.arpa", "--model", "quay")},
			{given: "an n-gram without its prefix", prepare: []string{"m.arpa", strings.Replace(arpa, "the boat </s>", "boat the </s>", 1)}, args: in("store", "import", "m.arpa", "--model", "quay")},
			{given: "an n-gram without its suffix", prepare: []string{"m.arpa", strings.Replace(arpa, "the boat </s>", "the boat boat", 1)}, args: in("store", "import", "m.arpa", "--model", "quay")},
			{given: "a word that is no unigram", prepare: []string{"m.arpa", strings.Replace(arpa, "the boat </s>", "the boat sank", 1)}, args: in("store", "import", "m.arpa", "--model", "quay")},
			{given: "no `</s>`", prepare: []string{"m.arpa", strings.Replace(arpa, "\t</s>\n", "\tend\n", 1)}, args: in("store", "import", "m.arpa", "--model", "quay")},
			{given: "another order than asked for", prepare: []string{"m.arpa", arpa}, args: in("store", "import", "m.arpa", "--model", "quay", "--order", "5")},
			{given: "another vocabulary than asked for", prepare: []string{"m.arpa", strings.ReplaceAll(arpa, "boat", "zeppelin")}, args: in("store", "import", "m.arpa", "--model", "quay", "--same-vocabulary-as", "default")},
			{given: "a smaller vocabulary than asked for", prepare: []string{"m.arpa", arpa}, args: in("store", "import", "m.arpa", "--model", "quay", "--same-vocabulary-as", "default")},
			{given: "a name that is taken", prepare: []string{"m.arpa", arpa}, args: in("store", "import", "m.arpa")},
			{given: "a damaged gzip file", prepare: []string{"m.arpa.gz", "\x1f\x8b\x08\x00damaged"}, args: in("store", "import", "m.arpa.gz", "--model", "quay")},
			{given: "a table without counts", prepare: []string{"m.tsv", "the boat\n"}, args: in("store", "import", "m.tsv", "--model", "quay")},
			{given: "a count of 0", prepare: []string{"m.tsv", "the boat\t0\n"}, args: in("store", "import", "m.tsv", "--model", "quay")},
			{given: "an unknown format", args: in("store", "export", "m.bin", "--format", "binary")},
			{given: "an unknown model", args: in("store", "export", "m.arpa", "--model", "nobody")},
			{given: "a build of counts", args: in("store", "export", "m.tsv", "--build", "1")},
			{given: "a directory that is missing", args: in("store", "export", "nowhere/m.arpa")},
		},
		"What is said in a conversation": {
			{given: "an empty prompt", args: in("store", "chat", "--prompt", "")},
			{given: "a prompt of spaces", args: in("store", "chat", "--prompt", " \t\n")},
			{given: "a prompt longer than 1 MiB", args: in("store", "chat", "--prompt", strings.Repeat("boat ", 1<<20/5+1))},
			{given: "a prompt with a NUL byte", args: in("store", "chat", "--prompt", "The \x00 boat")},
			{given: "a prompt that is not UTF-8", args: in("store", "chat", "--prompt", "The caf\xe9")},
			{given: "no file of conversations", args: in("store", "converse")},
			{given: "a missing file of conversations", args: in("store", "converse", "nothere.yaml")},
			{given: "a file of conversations with an unknown expectation", prepare: []string{"c.yaml", "conversations:\n  - turns:\n      - {say: Hello, expect: {contain: x}}\n"}, args: in("store", "converse", "c.yaml")},
			{given: "a file that holds no conversations", prepare: []string{"c.yaml", "- say: Hello\n"}, args: in("store", "concepts", "test", "c.yaml")},
			{given: "a share above 1", args: in("store", "converse", "c.yaml", "--min", "95")},
			{given: "texts that are missing", args: in("store", "converse", "c.yaml", "--texts", "nothere")},
			{given: "a run of no words", args: in("store", "converse", "c.yaml", "--texts", "harbour.txt", "--copied", "0")},
		},
	}
}

var refusalSections = []string{"Command lines", "Stores", "Models, builds, conversations", "Texts to train on or to measure", "Models made elsewhere", "What is said in a conversation"}

// Every bad input is refused in one line with exit code 2, changes nothing, and stands in docs/bad-input.md.
func TestRefusals(t *testing.T) {
	inHarbour(t)
	succeed(t, "train", "harbour.txt", "--db", "store")
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	before := stateOf(t)
	var doc strings.Builder
	all := refusals()
	for _, section := range refusalSections {
		fmt.Fprintf(&doc, "\n### %s\n\n| given | command | answer |\n|---|---|---|\n", section)
		for _, bad := range all[section] {
			t.Run(section+"/"+bad.given, func(t *testing.T) {
				for i := 0; i < len(bad.prepare); i += 2 {
					write(t, bad.prepare[i], bad.prepare[i+1])
				}
				r := invokeReading(t, bad.stdin, bad.args...)
				skipped := strings.Count(r.err, "skipped ")
				if r.code != exitUsage || r.out != "" || strings.Count(r.err, "\n") != 1+skipped {
					t.Errorf("exit code %d, standard output %q, standard error:\n%s", r.code, r.out, r.err)
				}
				for i := 0; i < len(bad.prepare); i += 2 {
					top, _, _ := strings.Cut(bad.prepare[i], "/")
					if err := os.RemoveAll(top); err != nil {
						t.Fatal(err)
					}
				}
				write(t, "harbour.txt", harbour)
				if diff := cmp.Diff(before, stateOf(t)); diff != "" {
					t.Errorf("something was changed (-before +after):\n%s", diff)
				}
				fmt.Fprintf(&doc, "| %s | %s | %s |\n", bad.given, cell(shell(bad)), cell(strings.ReplaceAll(r.complaint(), here+"/", "")))
			})
		}
	}
	checkSection(t, "docs/bad-input.md", "refused", doc.String())
}

// shell shows a command line as a person would type it, long values cut short.
func shell(bad badInput) string {
	var words []string
	for _, arg := range bad.args {
		quoted := fmt.Sprintf("%q", arg)
		switch {
		case len(arg) > 60:
			arg = arg[:10] + "…" + quoted[len(quoted)-1:]
			arg = `"` + arg
		case arg == "" || strings.ContainsAny(arg, " \t\n\x00") || quoted != `"`+arg+`"`:
			arg = quoted
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ")
}

// cell is a text as code in a table of Markdown.
func cell(s string) string {
	return "`" + strings.NewReplacer("|", `\|`, "`", "'").Replace(s) + "`"
}

// stateOf is everything that a command could have changed below the current directory: files, and how many rows each
// table of the store has. The list of jobs is left out: it tells what was tried, refusals too.
func stateOf(t *testing.T) map[string]int {
	t.Helper()
	state := map[string]int{}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !strings.HasSuffix(path, "-wal") && !strings.HasSuffix(path, "-shm") {
			state["file "+path] = 1
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	target, err := database.ParseTarget("store")
	if err != nil {
		t.Fatal(err)
	}
	for _, schema := range []database.Schema{ngramstore.Schema, memorystore.Schema, conceptstore.Schema} {
		for table, rows := range rowCounts(t, target, schema) {
			if table != "tbl_l1_jobs" {
				state[schema.Name+"."+table] = rows
			}
		}
	}
	return state
}

func rowCounts(t *testing.T, target database.Target, schema database.Schema) map[string]int {
	t.Helper()
	db, err := database.Open(t.Context(), target, schema, database.Options{MustExist: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(t.Context(), "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'tbl%'")
	if err != nil {
		t.Fatal(err)
	}
	var tables []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		tables = append(tables, name)
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, table := range tables {
		var n int
		if err := db.QueryRow(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n); err != nil {
			t.Fatal(err)
		}
		counts[table] = n
	}
	return counts
}

// utf16le is a text in UTF-16, little-endian, with a byte order mark.
func utf16le(s string) string {
	out := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune(s)) {
		out = append(out, byte(unit), byte(unit>>8))
	}
	return string(out)
}
