package route

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sluiceproxy/sluice/core"
)

// Table is a compiled set of routes. It is safe for concurrent use.
type Table struct {
	listed    bool
	items     []*item          // in the order tried
	exact     map[string]*tree // by host
	wildcards map[string]*tree // by what follows the '*', with its dot
	any       *tree
}

// item is a route with one of its hosts and one of its paths.
type item struct {
	route    *core.Route
	host     string // "" for every host
	path     *pattern
	criteria []criterion
	listed   int // position in the file, and of the host and path within the route
}

var noPath = &pattern{kind: pathNone, text: "(any path)"}

// Compile builds a table. Errors name the route and say what to write, one for each route.
func Compile(entries []Entry, order Order) (*Table, error) {
	t := &Table{listed: order == Listed, exact: map[string]*tree{}, wildcards: map[string]*tree{}, any: newTree()}
	var errs []error
	for i := range entries {
		if err := t.expand(&entries[i]); err != nil {
			errs = append(errs, err)
		}
	}
	slices.SortStableFunc(t.items, t.compare)
	for _, it := range t.items {
		t.treeOf(it.host).add(it)
	}
	errs = append(errs, t.unreachable()...)
	return t, errors.Join(errs...)
}

// expand makes an item of each pair of host and path.
func (t *Table) expand(e *Entry) error {
	m := &e.Config.Match
	criteria, err := criteriaOf(e.Config.Name, m)
	if err != nil {
		return e.errorf("%w", err)
	}
	paths := []*pattern{noPath}
	if len(m.Path) > 0 {
		paths = nil
	}
	for _, text := range m.Path {
		p, err := parsePattern(text)
		if err != nil {
			return e.errorf("match.%w", err)
		}
		paths = append(paths, p)
	}
	hosts := []string{""}
	if len(m.Host) > 0 {
		hosts = nil
	}
	for _, h := range m.Host {
		if err := checkHost(h); err != nil {
			return e.errorf("%w", err)
		}
		hosts = append(hosts, strings.ToLower(strings.TrimSuffix(h, ".")))
	}
	for _, h := range hosts {
		for _, p := range paths {
			t.items = append(t.items, &item{route: e.Route, host: h, path: p, criteria: criteria, listed: len(t.items)})
		}
	}
	return nil
}

func checkHost(h string) error {
	name := strings.TrimPrefix(h, "*.")
	switch {
	case h == "*":
		return errors.New(`match.host "*": leave host out to match every host`)
	case name == "" || strings.Contains(name, "*"):
		return fmt.Errorf("match.host %q: * stands only at the beginning, as in *.example.org", h)
	case strings.Contains(name, ":") && !strings.HasPrefix(name, "["):
		return fmt.Errorf("match.host %q: leave the port out; a listener is bound to one", h)
	case strings.ContainsAny(name, "/ "):
		return fmt.Errorf("match.host %q is not a host name", h)
	}
	return nil
}

// compare is the rule that package route documents.
func (t *Table) compare(a, b *item) int {
	if !t.listed {
		if c := compareHosts(a.host, b.host); c != 0 {
			return c
		}
		if c := comparePaths(a.path, b.path); c != 0 {
			return c
		}
		if c := len(b.criteria) - len(a.criteria); c != 0 && a.path.kind != pathRegex {
			return c
		}
	}
	return a.listed - b.listed
}

func compareHosts(a, b string) int {
	rank := func(h string) int {
		switch {
		case h == "":
			return 2
		case strings.HasPrefix(h, "*"):
			return 1
		}
		return 0
	}
	if c := rank(a) - rank(b); c != 0 {
		return c
	}
	if strings.HasPrefix(a, "*") && len(a) != len(b) {
		return len(b) - len(a)
	}
	return strings.Compare(a, b)
}

func (t *Table) treeOf(host string) *tree {
	index, key := t.exact, host
	if suffix, ok := strings.CutPrefix(host, "*"); ok {
		index, key = t.wildcards, suffix
	} else if host == "" {
		return t.any
	}
	if index[key] == nil {
		index[key] = newTree()
	}
	return index[key]
}

// unreachable finds items that one before them, with the same host and path and nothing more or
// the same to ask, always takes.
func (t *Table) unreachable() (errs []error) {
	type key struct{ host, path, criteria string }
	first := map[key]*item{}
	for _, it := range t.items {
		plain := key{host: it.host, path: it.path.shape()}
		same := plain
		for _, c := range it.criteria {
			if w, ok := c.(weight); ok { // by chance, each may have its turn
				same.criteria += fmt.Sprint(w.salt)
			}
			same.criteria += c.String() + "\n"
		}
		for _, k := range []key{plain, same} {
			if by := first[k]; by != nil && by.route != it.route {
				errs = append(errs, fmt.Errorf("route %s: never reached: route %s takes the same host and path (%s) before it",
					it.route.Name, by.route.Name, it.pattern()))
				break
			}
		}
		if first[same] == nil {
			first[same] = it
		}
	}
	return errs
}

// shape is the pattern without the names of its captures.
func (p *pattern) shape() string {
	if p.kind == pathRegex || p.kind == pathNone {
		return p.text
	}
	var b strings.Builder
	for _, s := range p.segments {
		b.WriteByte('/')
		if s.any {
			b.WriteByte('*')
		}
		b.WriteString(s.literal)
	}
	if p.kind == pathPrefix {
		b.WriteString("/**")
	}
	return b.String()
}

func (it *item) pattern() string {
	host := it.host
	if host == "" {
		host = "(any host)"
	}
	return host + " " + it.path.text
}

func (it *item) holds(x *core.Exchange) bool {
	for _, c := range it.criteria {
		if !c.holds(x) {
			return false
		}
	}
	return true
}
