package route

import (
	"fmt"
	"strings"

	"github.com/sluiceproxy/sluice/core"
)

// Verdict is what became of one pattern of a route for one exchange.
type Verdict struct {
	Route   *core.Route
	Pattern string // host and path
	Matched bool
	Reason  string // why it did not match, or "not reached"
}

// Explain returns each pattern in the order tried with why it did not match, the one that did,
// and those behind it. Match finds the same, without trying them all.
func (t *Table) Explain(x *core.Exchange) []Verdict {
	out := make([]Verdict, 0, len(t.items))
	matched := false
	for _, it := range t.items {
		v := Verdict{Route: it.route, Pattern: it.pattern(), Reason: "not reached"}
		if !matched {
			v.Reason = it.why(x)
			v.Matched = v.Reason == ""
			matched = v.Matched
		}
		out = append(out, v)
	}
	return out
}

// why says what the exchange lacks for the item, "" when nothing.
func (it *item) why(x *core.Exchange) string {
	if !hostMatches(it.host, x.Request.Host()) {
		return fmt.Sprintf("host %s is not %s", x.Request.Host(), it.host)
	}
	if !it.path.match(x.Request.Path()) {
		return fmt.Sprintf("path %s is not %s", x.Request.Path(), it.path.text)
	}
	for _, c := range it.criteria {
		if !c.holds(x) {
			return c.why(x)
		}
	}
	return ""
}

func hostMatches(pattern, host string) bool {
	if suffix, ok := strings.CutPrefix(pattern, "*"); ok {
		return len(host) > len(suffix) && strings.HasSuffix(host, suffix)
	}
	return pattern == "" || pattern == host
}

// Info is a pattern of a route as compiled.
type Info struct {
	Route    *core.Route
	Host     string // "" for every host
	Path     string
	Criteria []string
}

// Routes returns every pattern of every route in the order tried.
func (t *Table) Routes() []Info {
	out := make([]Info, 0, len(t.items))
	for _, it := range t.items {
		info := Info{Route: it.route, Host: it.host, Path: it.path.text}
		for _, c := range it.criteria {
			info.Criteria = append(info.Criteria, c.String())
		}
		out = append(out, info)
	}
	return out
}
