package headers

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/http1"
)

// check refuses names that no field may have and fields that are not the filter's to change.
func (e *Edits) check(message string, request bool) error {
	for _, name := range e.Remove {
		if err := checkName(strings.TrimSuffix(name, "*"), false); err != nil {
			return fmt.Errorf("%s: remove: %w", message, err)
		}
	}
	for name, value := range e.Set {
		if err := checkField(name, value, request); err != nil {
			return fmt.Errorf("%s: set: %w", message, err)
		}
	}
	for name, value := range e.Default {
		if err := checkField(name, value, false); err != nil {
			return fmt.Errorf("%s: default: %w", message, err)
		}
	}
	for name, values := range e.Add {
		for _, value := range values {
			if err := checkField(name, value, false); err != nil {
				return fmt.Errorf("%s: add: %w", message, err)
			}
		}
	}
	return nil
}

func checkField(name string, value *core.Template, host bool) error {
	if err := checkName(name, host); err != nil {
		return err
	}
	text, fixed := value.Literal()
	if !fixed {
		return nil
	}
	if core.EqualFold(name, "Host") && http1.CheckAuthority(text) != nil {
		return fmt.Errorf("host %q is no host with an optional port", text)
	}
	if !httpguts.ValidHeaderFieldValue(text) {
		return fmt.Errorf("%s: the value %q holds a control character", name, text)
	}
	return nil
}

func checkName(name string, host bool) error {
	switch {
	case !httpguts.ValidHeaderFieldName(name):
		return fmt.Errorf("%q is no field name: write letters, digits and '-'", name)
	case framing(name):
		return fmt.Errorf("%s belongs to the connection, which the proxy writes itself: leave it out", name)
	case core.EqualFold(name, "Host") && !host:
		return fmt.Errorf("%s can only be set, in request: every request has exactly one", name)
	}
	return nil
}

// framing reports whether a field says where a message ends or how its connection goes on.
func framing(name string) bool { return http1.HopByHop(name) || core.EqualFold(name, "Trailer") }

func (e *Edits) compile() plan {
	p := plan{cond: e.If}
	for _, name := range e.Remove {
		if prefix, ok := strings.CutSuffix(name, "*"); ok {
			p.edits = append(p.edits, edit{op: opRemovePrefix, name: prefix})
			continue
		}
		p.edits = append(p.edits, edit{op: opRemove, name: name})
	}
	for _, name := range slices.Sorted(maps.Keys(e.Set)) {
		if core.EqualFold(name, "Host") {
			p.host = e.Set[name]
			continue
		}
		p.edits = append(p.edits, edit{op: opSet, name: name, value: e.Set[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(e.Default)) {
		p.edits = append(p.edits, edit{op: opDefault, name: name, value: e.Default[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(e.Add)) {
		for _, value := range e.Add[name] {
			p.edits = append(p.edits, edit{op: opAdd, name: name, value: value})
		}
	}
	return p
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && core.EqualFold(s[:len(prefix)], prefix)
}

// printable replaces control characters: $arg_NAME may hold any byte, and a peer that is strict
// would refuse the whole message.
func printable(value string) string {
	if httpguts.ValidHeaderFieldValue(value) {
		return value
	}
	out := []byte(value)
	for i, c := range out {
		if c < ' ' && c != '\t' || c == 0x7f {
			out[i] = ' '
		}
	}
	return string(out)
}
