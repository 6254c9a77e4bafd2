package rewrite

import (
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/sluiceproxy/sluice/core"
)

// query is Query, compiled.
type query struct {
	names    []string // that go, those of set among them
	prefixes []string // of names that go
	set      []argument
}

type argument struct {
	key   string // escaped
	value *core.Template
}

func (q *Query) check() error {
	for _, name := range q.Remove {
		if name == "" {
			return errors.New("query: remove: the name of an argument is empty")
		}
	}
	for name := range q.Set {
		if name == "" {
			return errors.New("query: set: the name of an argument is empty")
		}
	}
	return nil
}

func (q *Query) compile() *query {
	if len(q.Remove) == 0 && len(q.Set) == 0 {
		return nil
	}
	out := &query{}
	for _, name := range q.Remove {
		if prefix, ok := strings.CutSuffix(name, "*"); ok {
			out.prefixes = append(out.prefixes, prefix)
			continue
		}
		out.names = append(out.names, name)
	}
	for _, name := range slices.Sorted(maps.Keys(q.Set)) {
		out.names = append(out.names, name)
		out.set = append(out.set, argument{url.QueryEscape(name), q.Set[name]})
	}
	return out
}

// apply leaves the arguments that stay as they were written, byte for byte. Values are evaluated
// before anything is removed, so that one argument can be renamed to another.
func (q *query) apply(x *core.Exchange) {
	before := x.Request.Query()
	out := make([]byte, 0, len(before)+64)
	for rest := before; rest != ""; {
		var arg string
		arg, rest, _ = strings.Cut(rest, "&")
		if key, _, _ := strings.Cut(arg, "="); !q.drops(core.UnescapeQuery(key)) {
			out = append(out, '&')
			out = append(out, arg...)
		}
	}
	for i := range q.set {
		if value := q.set[i].value.Eval(x); value != "" {
			out = append(append(out, '&'), q.set[i].key...)
			out = append(append(out, '='), url.QueryEscape(value)...)
		}
	}
	if after := strings.TrimPrefix(string(out), "&"); after != before {
		x.Request.SetQuery(after)
	}
}

func (q *query) drops(name string) bool {
	if slices.Contains(q.names, name) {
		return true
	}
	for _, prefix := range q.prefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
