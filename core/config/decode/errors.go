package decode

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Pos is a place in a file. Line and column count from 1; a line of 0 means the whole file.
type Pos struct {
	File   string
	Line   int
	Column int
}

// String returns file:line:column, or the file alone.
func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Error is one mistake in a configuration.
type Error struct {
	Pos  Pos
	Path string // such as routes[3] shop.to; "" for the document as a whole
	Msg  string
}

// Error returns "file:line:column: path: message".
func (e *Error) Error() string {
	if e.Path == "" {
		return e.Pos.String() + ": " + e.Msg
	}
	return e.Pos.String() + ": " + e.Path + ": " + e.Msg
}

// Errors is every mistake in a configuration. As an error it is one line each.
type Errors []*Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns each mistake as an error of its own.
func (e Errors) Unwrap() []error {
	out := make([]error, len(e))
	for i := range e {
		out[i] = e[i]
	}
	return out
}

// Sort orders the mistakes of each file by their place. The order of the files stays.
func (e Errors) Sort() {
	order := make(map[string]int)
	for _, x := range e {
		if _, ok := order[x.Pos.File]; !ok {
			order[x.Pos.File] = len(order)
		}
	}
	slices.SortStableFunc(e, func(a, b *Error) int {
		return cmp.Or(order[a.Pos.File]-order[b.Pos.File], a.Pos.Line-b.Pos.Line, a.Pos.Column-b.Pos.Column)
	})
}
