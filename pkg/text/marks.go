package text

// The model's own spelling of punctuation that is typed in several ways. Straight, curly, low and angle
// quotes become one opening and one closing mark; the way they were written is kept as a surface.
const (
	openQuote        = "“"
	closeQuote       = "”"
	openSingle       = "‘"
	closeSingle      = "’"
	apostrophe       = '\''
	dash             = "—"
	possessive       = "'"
	ellipsis         = "…"
	curlyApostrophe  = '’'
	letterApostrophe = 'ʼ'
)

// role is what a token does to the space and the capitals around it.
type role uint8

const (
	roleWord       role = iota
	roleUnspaced        // a character of a script without spaces
	roleOpenQuote       // attaches to what follows
	roleOpen            // the same, a bracket or an inverted mark
	roleCloseQuote      // attaches to what stands before
	roleClose           // the same, a bracket
	roleComma           // the same: , ; and relatives
	roleColon           // the same
	roleEnd             // the same: . ? ! …
	roleWideOpen        // full-width punctuation: no space on either side
	roleWideClose
	roleWideEnd
	roleElision // "l'": attaches to what follows
	roleClitic  // "'s": attaches to what stands before
	roleSuffix  // "%": attaches to what stands before unless its surface says otherwise
	roleNeutral // symbols and dashes: spaced as their surface says
)

// markRole returns the role of a punctuation character in the model's spelling.
func markRole(r rune) role {
	switch r {
	case '“', '‘':
		return roleOpenQuote
	case '”', '’':
		return roleCloseQuote
	case '(', '[', '{', '¿', '¡':
		return roleOpen
	case ')', ']', '}':
		return roleClose
	case ',', ';', '،', '؛', '·':
		return roleComma
	case ':', '։':
		return roleColon
	case '.', '?', '!', '…', '؟', '۔', '।', '॥', '‼', '⁇', '⁈', '⁉', '՞', '՜':
		return roleEnd
	case '。', '！', '？', '．', '｡', '︒':
		return roleWideEnd
	case '「', '『', '（', '［', '｛', '【', '〔', '〖', '〈', '《', '｢':
		return roleWideOpen
	case '」', '』', '）', '］', '｝', '】', '〕', '〗', '〉', '》', '｣', '、', '，', '；', '：', '・', '､', '〜':
		return roleWideClose
	case '%', '‰', '°', '′', '″', '™', '®':
		return roleSuffix
	}
	return roleNeutral
}

// IsSentenceEnd reports whether a token is a mark that ends sentences: . ? ! … and their relatives in
// other scripts, also as typed ("...", "?!").
func IsSentenceEnd(token string) bool {
	if token == "" {
		return false
	}
	for _, r := range token {
		if k := markRole(r); k != roleEnd && k != roleWideEnd {
			return false
		}
	}
	return true
}
