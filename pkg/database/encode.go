package database

import "strconv"

// infileEncoder writes rows in the form LOAD DATA reads with FIELDS TERMINATED BY '\t' ESCAPED BY '\\' LINES TERMINATED BY
// '\n' and CHARACTER SET binary: bytes as they are, but for tab, newline, backslash and NUL, which get a backslash.
type infileEncoder struct {
	rowState
	buf []byte
}

func (e *infileEncoder) separate() {
	if e.column > 0 {
		e.buf = append(e.buf, '\t')
	}
	e.column++
}

func (e *infileEncoder) Int(v int64) {
	e.separate()
	e.buf = strconv.AppendInt(e.buf, v, 10)
}

func (e *infileEncoder) Float(v float64) {
	v = e.finite(v)
	e.separate()
	e.buf = strconv.AppendFloat(e.buf, v, 'g', -1, 64)
}

func (e *infileEncoder) Bytes(v []byte) {
	e.separate()
	start := 0
	for i, c := range v {
		if c > '\\' || escapes[c] == 0 {
			continue
		}
		e.buf = append(e.buf, v[start:i]...)
		e.buf = append(e.buf, '\\', escapes[c])
		start = i + 1
	}
	e.buf = append(e.buf, v[start:]...)
}

func (e *infileEncoder) String(v string) {
	e.separate()
	start := 0
	for i := range len(v) {
		c := v[i]
		if c > '\\' || escapes[c] == 0 {
			continue
		}
		e.buf = append(e.buf, v[start:i]...)
		e.buf = append(e.buf, '\\', escapes[c])
		start = i + 1
	}
	e.buf = append(e.buf, v[start:]...)
}

func (e *infileEncoder) Null() {
	e.separate()
	e.buf = append(e.buf, '\\', 'N')
}

// escapes maps a byte to what follows the backslash, 0 for bytes that stand for themselves.
var escapes = ['\\' + 1]byte{0: '0', '\t': 't', '\n': 'n', '\\': '\\'}

// insertEncoder writes rows as literals of a multi-row INSERT. Bytes are hexadecimal, which no SQL mode can misread.
type insertEncoder struct {
	rowState
	buf []byte
}

func (e *insertEncoder) separate() {
	if e.column == 0 {
		e.buf = append(e.buf, '(')
	} else {
		e.buf = append(e.buf, ',')
	}
	e.column++
}

func (e *insertEncoder) Int(v int64) {
	e.separate()
	e.buf = strconv.AppendInt(e.buf, v, 10)
}

func (e *insertEncoder) Float(v float64) {
	v = e.finite(v)
	e.separate()
	e.buf = strconv.AppendFloat(e.buf, v, 'e', -1, 64) // with an exponent it is a DOUBLE, without it a DECIMAL
}

func (e *insertEncoder) Bytes(v []byte) {
	e.separate()
	const digits = "0123456789abcdef"
	e.buf = append(e.buf, 'x', '\'')
	for _, c := range v {
		e.buf = append(e.buf, digits[c>>4], digits[c&15])
	}
	e.buf = append(e.buf, '\'')
}

func (e *insertEncoder) String(v string) { e.Bytes([]byte(v)) }

func (e *insertEncoder) Null() {
	e.separate()
	e.buf = append(e.buf, "NULL"...)
}
