package core

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"
)

// Template is text with variables, such as "$route-${host}x"; "$$" is a dollar. It is compiled
// when the configuration loads. The nil Template evaluates to "".
type Template struct {
	source string
	parts  []part
	escape EscapeKind
}

// part is literal text, or a variable when v is not zero.
type part struct {
	text string
	v    Var
}

// ParseTemplate compiles s. A name follows '$' as letters, digits and '_', or stands in braces,
// where it may hold any byte but '}' (${arg_page-size}). A name that LookupVar does not know is
// an error.
func ParseTemplate(s string) (*Template, error) {
	return ParseLogTemplate(s, EscapeOff)
}

// ParseLogTemplate compiles s for a log: the values of its variables, not its own text, are
// escaped as escape says.
func ParseLogTemplate(s string, escape EscapeKind) (*Template, error) {
	t := &Template{source: s, escape: escape}
	for rest := s; rest != ""; {
		text, after, found := strings.Cut(rest, "$")
		t.addText(text)
		if !found {
			break
		}
		if strings.HasPrefix(after, "$") {
			t.addText("$")
			rest = after[1:]
			continue
		}
		name, tail, err := cutName(after)
		column := utf8.RuneCountInString(s[:len(s)-len(after)-1]) + 1
		if err != nil {
			return nil, fmt.Errorf("column %d: %w", column, err)
		}
		v, ok := LookupVar(name)
		if !ok {
			return nil, fmt.Errorf("column %d: %w", column, unknownVar(name, "$"))
		}
		t.parts = append(t.parts, part{v: v})
		rest = tail
	}
	return t, nil
}

func (t *Template) addText(s string) {
	if s == "" {
		return
	}
	if n := len(t.parts); n > 0 && t.parts[n-1].v.def == nil {
		t.parts[n-1].text += s
		return
	}
	t.parts = append(t.parts, part{text: s})
}

// cutName cuts a variable's name from s, which follows a '$'.
func cutName(s string) (name, rest string, err error) {
	if strings.HasPrefix(s, "{") {
		name, rest, ok := strings.Cut(s[1:], "}")
		switch {
		case !ok:
			return "", "", errors.New("${ without }: close the variable's name, such as ${host}")
		case name == "":
			return "", "", errors.New("${} names no variable: write one, such as ${host}")
		}
		return name, rest, nil
	}
	n := 0
	for n < len(s) && nameByte(s[n]) {
		n++
	}
	if n == 0 {
		return "", "", errors.New("$ without a variable's name: write $$ for a dollar")
	}
	return s[:n], s[n:], nil
}

func nameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}

// UnmarshalText compiles the template from the configuration.
func (t *Template) UnmarshalText(text []byte) error {
	parsed, err := ParseTemplate(string(text))
	if err != nil {
		return err
	}
	*t = *parsed
	return nil
}

// String returns the source.
func (t *Template) String() string {
	if t == nil {
		return ""
	}
	return t.source
}

// Literal returns the value and true when it is the same for every exchange.
func (t *Template) Literal() (string, bool) {
	switch {
	case t == nil || len(t.parts) == 0:
		return "", true
	case len(t.parts) == 1 && t.parts[0].v.def == nil:
		return t.parts[0].text, true
	}
	return "", false
}

// Append appends the value for x. An unset variable is nothing, but see EscapeDefault.
func (t *Template) Append(dst []byte, x *Exchange) []byte {
	if t == nil {
		return dst
	}
	for i := range t.parts {
		p := &t.parts[i]
		switch {
		case p.v.def == nil:
			dst = append(dst, p.text...)
		case t.escape == EscapeOff:
			dst = p.v.Append(dst, x)
		default:
			dst = t.escape.appendVar(dst, p.v, x)
		}
	}
	return dst
}

// Eval returns the value for x. It does not allocate when the template is text alone or one
// variable that is text.
func (t *Template) Eval(x *Exchange) string {
	if text, ok := t.Literal(); ok {
		return text
	}
	if len(t.parts) == 1 && t.escape == EscapeOff {
		text, _ := t.parts[0].v.Get(x)
		return text
	}
	buf := evalBuffers.Get().(*[]byte)
	*buf = t.Append((*buf)[:0], x)
	text := string(*buf)
	if cap(*buf) <= maxEvalBuffer {
		evalBuffers.Put(buf)
	}
	return text
}

// maxEvalBuffer is how much a pooled buffer may hold: one long value must not stay for good.
const maxEvalBuffer = 16 << 10

var evalBuffers = sync.Pool{New: func() any { return new([]byte) }}
