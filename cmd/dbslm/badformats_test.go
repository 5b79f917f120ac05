package main

import "strings"

// mappingQA is a mapping of questions and answers.
const mappingQA = "prompt: q\nresponse: a\n"

// formatRefusals are files of dialogues, packed files and measures that must be refused; see refusals.
func formatRefusals() []badInput {
	in := func(p string, args ...string) []string { return append(args, "--db", p) }
	return []badInput{
		{given: "dialogues without a mapping", prepare: []string{"d.ndjson", "{\"q\": \"Open?\"}\n"}, args: in("store", "train", "d.ndjson")},
		{given: "a mapping that names nothing", prepare: []string{"d.ndjson", "{}", "d.mapping.yaml", "format: ndjson\n"}, args: in("store", "train", "d.ndjson")},
		{given: "a mapping with an unknown name", prepare: []string{"d.ndjson", "{}", "d.mapping.yaml", "prompt: q\nanswer: a\n"}, args: in("store", "train", "d.ndjson")},
		{given: "a mapping that is no YAML", prepare: []string{"d.ndjson", "{}", "d.mapping.yaml", "prompt: [q\n"}, args: in("store", "train", "d.ndjson")},
		{given: "a missing mapping", prepare: []string{"d.ndjson", "{}"}, args: in("store", "train", "d.ndjson", "--mapping", "nothere.yaml")},
		{given: "a mapping for text", args: in("store", "train", "harbour.txt", "--format", "text", "--mapping", "m.yaml")},
		{given: "an unknown format", args: in("store", "train", "harbour.txt", "--format", "xml")},
		{given: "NDJSON cut off", prepare: []string{"d.ndjson", "{\"q\": \"Open?\", \"a\": \"Yes.\"}\n{\"q\": \"Clo", "d.mapping.yaml", mappingQA}, args: in("store", "train", "harbour.txt", "d.ndjson")},
		{given: "JSON cut off", prepare: []string{"d.json", "[{\"q\": \"Open?\", \"a\": \"Yes.\"},\n", "d.mapping.yaml", mappingQA}, args: in("store", "train", "d.json")},
		{given: "a record without a field", prepare: []string{"d.json", "[\n{\"q\": \"Open?\"}]", "d.mapping.yaml", mappingQA}, args: in("store", "train", "d.json")},
		{given: "a field of another kind", prepare: []string{"d.json", "[\n{\"q\": \"Open?\", \"a\": [1]}]", "d.mapping.yaml", mappingQA}, args: in("store", "eval", "d.json")},
		{given: "CSV without a column", prepare: []string{"d.csv", "q,b\n1,2\n", "d.mapping.yaml", mappingQA}, args: in("store", "train", "d.csv")},
		{given: "CSV with a short row", prepare: []string{"d.csv", "q,a\n1,2\n3\n", "d.mapping.yaml", mappingQA}, args: in("store", "train", "d.csv")},
		{given: "CSV with an open quotation mark", prepare: []string{"d.csv", "q,a\n1,\"2\n3,4\n", "d.mapping.yaml", mappingQA}, args: in("store", "train", "d.csv")},
		{given: "a weight that is none", prepare: []string{"d.ndjson", "{\"t\": \"Hi\", \"id\": 1, \"w\": -1}", "d.mapping.yaml", "text: t\ndocument: id\nweight: w\n"}, args: in("store", "train", "d.ndjson")},
		{given: "records of a document apart", prepare: []string{"d.ndjson", "{\"t\": \"Hi\", \"id\": 1}\n{\"t\": \"Ho\", \"id\": 2}\n{\"t\": \"Ha\", \"id\": 1}\n", "d.mapping.yaml", "text: t\ndocument: id\n"}, args: in("store", "train", "d.ndjson")},
		{given: "a damaged gzip file", prepare: []string{"d.txt.gz", "\x1f\x8b\x08\x00broken"}, args: in("store", "train", "d.txt.gz")},
		{given: "more cut-offs than orders", args: in("store", "train", "harbour.txt", "--cutoffs", "0,0,0,1")},
		{given: "measures without a text", args: in("store", "train", "harbour.txt", "--every", "10")},
		{given: "measures after no document", args: in("store", "train", "harbour.txt", "--probe", "harbour.txt", "--every", "0")},
		{given: "a missing text to measure on", args: in("store", "train", "harbour.txt", "--probe", "nothere.txt")},
		{given: "a text to measure on that holds none", prepare: []string{"blank.txt", " \n"}, args: in("store", "train", "harbour.txt", "--probe", "blank.txt")},
		{given: "a text to measure on that is too long", prepare: []string{"long.txt", strings.Repeat("boat ", 1<<20/5+1)}, args: in("store", "train", "harbour.txt", "--probe", "long.txt")},
		{given: "metrics that cannot be written", args: in("store", "train", "harbour.txt", "--probe", "harbour.txt", "--metrics", "nowhere/m.ndjson")},
		{given: "more cut-offs than orders", args: in("store", "train", "harbour.txt", "--model", "new", "--order", "2", "--cutoffs", "0,0,1")},
	}
}
