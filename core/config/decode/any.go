package decode

import (
	"net/netip"
	"reflect"
	"strconv"
	"strings"
)

// Any returns n as nil, bool, int64, float64, string, []any or map[string]any, for a filter whose
// configuration is handed on.
func Any(n *Node) any {
	switch n.Kind {
	case Scalar:
		return scalarAny(n)
	case List:
		out := make([]any, len(n.Items))
		for i, item := range n.Items {
			out[i] = Any(item)
		}
		return out
	case Map:
		out := make(map[string]any, len(n.Fields))
		for _, f := range n.Fields {
			out[f.Key] = Any(f.Value)
		}
		return out
	}
	return nil
}

func scalarAny(n *Node) any {
	switch {
	case !n.Plain:
		return n.Text
	case n.Text == "true" || n.Text == "false":
		return n.Text == "true"
	}
	if i, err := strconv.ParseInt(n.Text, 10, 64); err == nil {
		return i
	}
	// YAML has no hexadecimal floats, and what is no finite number is better kept as text.
	if f, err := strconv.ParseFloat(n.Text, 64); err == nil && f-f == 0 && !strings.ContainsAny(n.Text, "xXpP_") {
		return f
	}
	return n.Text
}

// due says what the standard library's types take, whose own errors name Go functions.
var due = map[reflect.Type]string{
	reflect.TypeFor[netip.Addr]():     "an IP address: write one such as 10.0.0.1 or fd00::1",
	reflect.TypeFor[netip.AddrPort](): "an IP address and port: write one such as 10.0.0.1:80",
	reflect.TypeFor[netip.Prefix]():   "a network: write one such as 10.0.0.0/8 or fd00::/8",
}

func explain(t reflect.Type, text string, err error) string {
	if what := due[t]; what != "" {
		return strconv.Quote(text) + " is not " + what
	}
	return oneLine(err.Error())
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
