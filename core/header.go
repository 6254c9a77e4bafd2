package core

import (
	"iter"
	"strings"
)

// Field is one header field as it was received or will be sent.
type Field struct {
	Name  string // case as received
	Value string // without surrounding white space
}

// Header is an ordered list of fields. It keeps order, case and repeats; names are compared
// without regard to ASCII case (RFC 9110 5.1). The zero value is empty and ready to use.
type Header struct {
	fields []Field
}

// Len returns the number of fields, repeats counted.
func (h *Header) Len() int { return len(h.fields) }

// At returns field i, 0 <= i < Len.
func (h *Header) At(i int) Field { return h.fields[i] }

// Fields returns the fields in order. The slice is the header's own: it is valid until the next
// change and must not be kept.
func (h *Header) Fields() []Field { return h.fields }

// Get returns the first value of name, or "".
func (h *Header) Get(name string) string {
	v, _ := h.Lookup(name)
	return v
}

// Lookup returns the first value of name and whether there is one.
func (h *Header) Lookup(name string) (string, bool) {
	for i := range h.fields {
		if EqualFold(h.fields[i].Name, name) {
			return h.fields[i].Value, true
		}
	}
	return "", false
}

// Has reports whether name occurs.
func (h *Header) Has(name string) bool {
	_, ok := h.Lookup(name)
	return ok
}

// Values yields every value of name in order.
func (h *Header) Values(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range h.fields {
			if EqualFold(h.fields[i].Name, name) && !yield(h.fields[i].Value) {
				return
			}
		}
	}
}

// Joined returns all values of name joined with ", " (RFC 9110 5.3), or with "; " for Cookie
// (RFC 9113 8.2.3). It allocates only when name repeats.
func (h *Header) Joined(name string) string {
	out, seen := "", false
	sep := ", "
	if EqualFold(name, "Cookie") {
		sep = "; "
	}
	for v := range h.Values(name) {
		if !seen {
			out, seen = v, true
			continue
		}
		out += sep + v
	}
	return out
}

// Add appends a field. A CR, LF or NUL in value becomes a space (RFC 9110 5.5), so that no filter
// can be made to end a line.
func (h *Header) Add(name, value string) {
	h.AddParsed(name, oneLine(value))
}

// AddParsed is Add for codecs, which have already refused what a value may not hold.
func (h *Header) AddParsed(name, value string) {
	h.fields = append(h.fields, Field{Name: name, Value: value})
}

func oneLine(value string) string {
	if !strings.ContainsAny(value, "\r\n\x00") {
		return value
	}
	clean := []byte(value)
	for i, c := range clean {
		if c == '\r' || c == '\n' || c == 0 {
			clean[i] = ' '
		}
	}
	return string(clean)
}

// Set makes value the only value of name, in the place of the first one when there is one. It
// treats value as Add does.
func (h *Header) Set(name, value string) {
	value = oneLine(value)
	for i := range h.fields {
		if EqualFold(h.fields[i].Name, name) {
			h.fields[i].Value = value
			h.deleteFrom(i+1, name)
			return
		}
	}
	h.AddParsed(name, value)
}

// Del removes every field called name.
func (h *Header) Del(name string) { h.deleteFrom(0, name) }

func (h *Header) deleteFrom(from int, name string) {
	keep := from
	for i := from; i < len(h.fields); i++ {
		if EqualFold(h.fields[i].Name, name) {
			continue
		}
		h.fields[keep] = h.fields[i]
		keep++
	}
	h.truncate(keep)
}

// DelFunc removes every field for which drop returns true.
func (h *Header) DelFunc(drop func(Field) bool) {
	keep := 0
	for _, f := range h.fields {
		if drop(f) {
			continue
		}
		h.fields[keep] = f
		keep++
	}
	h.truncate(keep)
}

// Reset empties the header and keeps its memory.
func (h *Header) Reset() { h.truncate(0) }

// truncate clears what it cuts, so that a pooled header keeps no message head alive.
func (h *Header) truncate(n int) {
	clear(h.fields[n:])
	h.fields = h.fields[:n]
}

// CopyFrom makes h a copy of o.
func (h *Header) CopyFrom(o *Header) {
	h.Reset()
	h.fields = append(h.fields, o.fields...)
}

// EqualFold reports whether a and b are equal without regard to ASCII case. Unlike
// strings.EqualFold it folds no other letters: field names are ASCII.
func EqualFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if a[i] != b[i] && lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// HasToken reports whether the comma-separated list value holds token, without regard to case.
func HasToken(value, token string) bool {
	for len(value) > 0 {
		item := value
		if i := indexByte(value, ','); i >= 0 {
			item, value = value[:i], value[i+1:]
		} else {
			value = ""
		}
		if EqualFold(TrimOWS(item), token) {
			return true
		}
	}
	return false
}

func indexByte(s string, c byte) int {
	for i := 0; i < len(s); i++ {
		if s[i] == c {
			return i
		}
	}
	return -1
}

// TrimOWS returns s without the blanks and tabs around it (RFC 9110 5.6.3).
func TrimOWS(s string) string {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}
