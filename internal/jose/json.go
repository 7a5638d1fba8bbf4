package jose

import (
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds nesting. Claims, keys and headers need four levels;
// authorization_details of a payment need six.
const maxDepth = 16

// ParseObject reads exactly one JSON object (RFC 8259). It refuses a member name
// that occurs twice in one object, nesting beyond 16, invalid UTF-8, lone
// surrogates, and anything but white space after the object.
//
// Values are string, json.Number, bool, nil, []any and map[string]any. Names are
// matched exactly, unlike encoding/json's: "Iss" is not "iss".
func ParseObject(data []byte) (map[string]any, error) {
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("%w: not UTF-8", ErrMalformed)
	}
	p := parser{data: data}
	p.space()
	object, err := p.object(1)
	if err != nil {
		return nil, err
	}
	p.space()
	if p.pos != len(p.data) {
		return nil, p.fail("data after the object")
	}
	return object, nil
}

// parser is a recursive descent over one document.
type parser struct {
	data []byte
	pos  int
}

// fail gives a position and never the document's text: that may hold a secret.
func (p *parser) fail(what string) error {
	return fmt.Errorf("%w: %s at byte %d", ErrMalformed, what, p.pos)
}

// peek gives the next byte, 0 at the end; NUL is nowhere valid outside of a string.
func (p *parser) peek() byte {
	if p.pos == len(p.data) {
		return 0
	}
	return p.data[p.pos]
}

func (p *parser) space() {
	for p.pos < len(p.data) {
		switch p.data[p.pos] {
		case ' ', '\t', '\r', '\n':
			p.pos++
		default:
			return
		}
	}
}

// take consumes c if it is next, with the white space behind it.
func (p *parser) take(c byte) bool {
	if p.peek() != c {
		return false
	}
	p.pos++
	p.space()
	return true
}

func (p *parser) value(depth int) (any, error) {
	switch c := p.peek(); {
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '"':
		return p.string()
	case c == '-' || isDigit(c):
		return p.number()
	default:
		return p.literal()
	}
}

func (p *parser) object(depth int) (map[string]any, error) {
	if depth > maxDepth {
		return nil, p.fail("too deep")
	}
	if !p.take('{') {
		return nil, p.fail("no object")
	}
	object := make(map[string]any)
	if p.take('}') {
		return object, nil
	}
	for {
		if err := p.member(object, depth); err != nil {
			return nil, err
		}
		p.space()
		if p.take(',') {
			continue
		}
		if p.take('}') {
			return object, nil
		}
		return nil, p.fail("no comma or brace")
	}
}

func (p *parser) member(object map[string]any, depth int) error {
	name, err := p.string()
	if err != nil {
		return err
	}
	if _, twice := object[name]; twice {
		return p.fail("duplicate member")
	}
	p.space()
	if !p.take(':') {
		return p.fail("no colon")
	}
	object[name], err = p.value(depth + 1)
	return err
}

func (p *parser) array(depth int) ([]any, error) {
	if depth > maxDepth {
		return nil, p.fail("too deep")
	}
	p.take('[')
	array := []any{}
	if p.take(']') {
		return array, nil
	}
	for {
		element, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		array = append(array, element)
		p.space()
		if p.take(',') {
			continue
		}
		if p.take(']') {
			return array, nil
		}
		return nil, p.fail("no comma or bracket")
	}
}

func (p *parser) literal() (any, error) {
	for _, l := range []struct {
		text  string
		value any
	}{{"true", true}, {"false", false}, {"null", nil}} {
		end := p.pos + len(l.text)
		if end <= len(p.data) && string(p.data[p.pos:end]) == l.text {
			p.pos = end
			return l.value, nil
		}
	}
	return nil, p.fail("no value")
}

// number keeps the text: which numbers fit is for the reader of the member to say.
func (p *parser) number() (json.Number, error) {
	start := p.pos
	if p.peek() == '-' {
		p.pos++
	}
	if p.peek() == '0' {
		p.pos++
	} else if !p.digits() {
		return "", p.fail("no digit")
	}
	if p.peek() == '.' {
		p.pos++
		if !p.digits() {
			return "", p.fail("no fraction")
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.pos++
		if c := p.peek(); c == '+' || c == '-' {
			p.pos++
		}
		if !p.digits() {
			return "", p.fail("no exponent")
		}
	}
	return json.Number(p.data[start:p.pos]), nil
}

func (p *parser) digits() bool {
	start := p.pos
	for isDigit(p.peek()) {
		p.pos++
	}
	return p.pos > start
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func (p *parser) string() (string, error) {
	if p.peek() != '"' {
		return "", p.fail("no string")
	}
	p.pos++
	start := p.pos
	for p.pos < len(p.data) {
		switch c := p.data[p.pos]; {
		case c == '"':
			s := string(p.data[start:p.pos])
			p.pos++
			return s, nil
		case c == '\\':
			return p.escaped(start)
		case c < ' ':
			return "", p.fail("control character")
		default:
			p.pos++
		}
	}
	return "", p.fail("open string")
}

// escaped reads on from the first backslash of a string that began at start.
func (p *parser) escaped(start int) (string, error) {
	text := append([]byte(nil), p.data[start:p.pos]...)
	for p.pos < len(p.data) {
		c := p.data[p.pos]
		p.pos++
		switch {
		case c == '"':
			return string(text), nil
		case c == '\\':
			r, ok := p.escape()
			if !ok {
				return "", p.fail("bad escape")
			}
			text = utf8.AppendRune(text, r)
		case c < ' ':
			return "", p.fail("control character")
		default:
			text = append(text, c)
		}
	}
	return "", p.fail("open string")
}

// escape reads what follows a backslash.
func (p *parser) escape() (rune, bool) {
	c := p.peek()
	if p.pos < len(p.data) {
		p.pos++
	}
	switch c {
	case '"', '\\', '/':
		return rune(c), true
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	case 'u':
		return p.unicode()
	}
	return 0, false
}

// unicode reads four hexadecimal digits, and the other half of a surrogate pair.
// A lone half has no meaning as text, and readers differ on what they make of it.
func (p *parser) unicode() (rune, bool) {
	r, ok := p.hex4()
	if !ok || !utf16.IsSurrogate(r) {
		return r, ok
	}
	if p.peek() != '\\' {
		return 0, false
	}
	p.pos++
	if p.peek() != 'u' {
		return 0, false
	}
	p.pos++
	low, ok := p.hex4()
	if !ok {
		return 0, false
	}
	pair := utf16.DecodeRune(r, low)
	return pair, pair != utf8.RuneError
}

func (p *parser) hex4() (rune, bool) {
	if len(p.data)-p.pos < 4 {
		return 0, false
	}
	v, err := strconv.ParseUint(string(p.data[p.pos:p.pos+4]), 16, 16)
	if err != nil {
		return 0, false
	}
	p.pos += 4
	return rune(v), true
}
