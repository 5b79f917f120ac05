package text

// abbreviation says what a full stop after a word means.
type abbreviation uint8

const (
	noAbbreviation abbreviation = iota
	beforeName                  // never ends a sentence: "Mr."
	mayEnd                      // ends one if what follows looks like the start of the next: "etc."
	beforeNumber                // an abbreviation only before a number: "No. 5"
)

// abbreviations are the data table of the words tokeniser: lower-case words whose full stop belongs to
// them (English, German, French, Spanish, Portuguese). Words that are also common words of their own are
// left out: a sentence end too few joins two sentences, an abbreviation too few only splits one.
var abbreviations = map[string]abbreviation{
	"mr": beforeName, "mrs": beforeName, "ms": beforeName, "dr": beforeName, "st": beforeName,
	"prof": beforeName, "rev": beforeName, "hon": beforeName, "gen": beforeName, "col": beforeName,
	"capt": beforeName, "lt": beforeName, "sgt": beforeName, "maj": beforeName, "cmdr": beforeName,
	"messrs": beforeName, "mme": beforeName, "mlle": beforeName, "mm": beforeName, "gov": beforeName,
	"sen": beforeName, "rep": beforeName, "supt": beforeName, "mt": beforeName, "ft": mayEnd,
	"hr": beforeName, "hrn": beforeName, "dipl": beforeName, "ing": beforeName, "frl": beforeName,
	"sra": beforeName, "srta": beforeName, "dra": beforeName, "exmo": beforeName, "exma": beforeName,
	"sr": mayEnd, "jr": mayEnd, "esq": mayEnd, "bros": mayEnd, "inc": mayEnd, "ltd": mayEnd, "corp": mayEnd,
	"co": mayEnd, "etc": mayEnd, "al": mayEnd, "dept": mayEnd, "univ": mayEnd, "assn": mayEnd, "ave": mayEnd,
	"blvd": mayEnd, "rd": mayEnd, "usw": mayEnd, "bzw": beforeName, "ggf": beforeName, "vgl": beforeName,
	"evtl": beforeName, "inkl": beforeName, "str": mayEnd, "vs": beforeName, "cf": beforeName, "viz": beforeName,
	"approx": beforeName, "ca": beforeName, "resp": mayEnd, "ed": mayEnd, "eds": mayEnd, "ud": mayEnd, "uds": mayEnd,
	"jan": mayEnd, "feb": mayEnd, "apr": mayEnd, "jun": mayEnd, "jul": mayEnd, "aug": mayEnd, "sept": mayEnd,
	"sep": mayEnd, "oct": mayEnd, "nov": mayEnd, "dec": mayEnd, "mon": mayEnd, "tue": mayEnd, "tues": mayEnd,
	"wed": mayEnd, "thu": mayEnd, "thurs": mayEnd, "fri": mayEnd, "hrs": mayEnd, "mins": mayEnd, "est": mayEnd,
	"no": beforeNumber, "nos": beforeNumber, "nr": beforeNumber, "vol": beforeNumber, "vols": beforeNumber,
	"pp": beforeNumber, "fig": beforeNumber, "figs": beforeNumber, "art": beforeNumber, "sec": beforeNumber,
	"ch": beforeNumber, "chap": beforeNumber, "pt": beforeNumber, "op": beforeNumber, "abb": beforeNumber,
	"tel": beforeNumber, "pág": beforeNumber, "núm": beforeNumber, "cap": beforeNumber,
}

// sentenceStarters are words that, with a capital, nearly always begin a sentence: they decide whether
// the full stop of "etc." ends one.
var sentenceStarters = map[string]bool{
	"the": true, "he": true, "she": true, "it": true, "they": true, "we": true, "you": true, "i": true,
	"this": true, "that": true, "these": true, "those": true, "there": true, "then": true, "but": true, "and": true,
	"in": true, "on": true, "at": true, "for": true, "if": true, "when": true, "while": true, "after": true,
	"before": true, "as": true, "so": true, "what": true, "who": true, "why": true, "how": true, "where": true,
	"his": true, "her": true, "my": true, "our": true, "their": true, "your": true, "its": true, "no": true,
	"yes": true, "not": true, "please": true, "now": true, "a": true, "an": true, "all": true, "some": true,
	"der": true, "die": true, "das": true, "er": true, "sie": true, "es": true, "wir": true, "ein": true,
	"le": true, "la": true, "les": true, "il": true, "elle": true, "nous": true, "un": true, "une": true,
	"el": true, "los": true, "las": true, "o": true, "os": true, "ele": true, "ela": true, "eu": true,
}

// elisions are words that lose their end before a vowel and join the next word (French, Italian,
// Catalan). They are a token of their own, with the apostrophe, so that "l'homme" shares the counts of "homme".
var elisions = map[string]bool{
	"l": true, "d": true, "j": true, "m": true, "t": true, "s": true, "n": true, "c": true, "qu": true,
	"jusqu": true, "lorsqu": true, "puisqu": true, "quoiqu": true, "quelqu": true,
	"dell": true, "all": true, "nell": true, "sull": true, "dall": true, "un": true, "quest": true, "quell": true,
}

// clitics are the ends of words that are a token of their own and join the word before: "Anna's" has the
// token of "Anna". The "n't" of "don't" stays, because "do" and "ca" without it mean the opposite.
var clitics = map[string]bool{"s": true, "ll": true, "ve": true, "re": true, "d": true, "m": true}

// maxClitic is the length of the longest of them.
const maxClitic = 2

// clippedWords are written with an apostrophe for their lost beginning. After a straight apostrophe they
// are not a quotation.
var clippedWords = map[string]bool{
	"tis": true, "twas": true, "twere": true, "twill": true, "twould": true, "twixt": true, "em": true,
	"til": true, "till": true, "cause": true, "bout": true, "gainst": true, "neath": true, "ere": true,
	"fore": true, "mongst": true, "tween": true, "n": true, "s": true, "d": true, "ll": true, "re": true, "ve": true,
}
