package route

import (
	"strings"

	"github.com/sluiceproxy/sluice/core"
)

// tree finds the items of one host by path.
type tree struct {
	root  node
	regex []*item
	none  []*item
}

// node is a path segment. Children are looked up, not scanned, so a table's size does not matter.
type node struct {
	literal map[string]*node
	any     *node
	ends    []*item // patterns that end here
	rest    []*item // patterns with ** here
}

func newTree() *tree { return new(tree) }

// add appends it: items come in the order tried.
func (t *tree) add(it *item) {
	switch it.path.kind {
	case pathRegex:
		t.regex = append(t.regex, it)
		return
	case pathNone:
		t.none = append(t.none, it)
		return
	}
	n := &t.root
	for _, s := range it.path.segments {
		n = n.child(s)
	}
	if it.path.kind == pathPrefix {
		n.rest = append(n.rest, it)
		return
	}
	n.ends = append(n.ends, it)
}

func (n *node) child(s segment) *node {
	if s.any {
		if n.any == nil {
			n.any = new(node)
		}
		return n.any
	}
	if n.literal == nil {
		n.literal = map[string]*node{}
	}
	if n.literal[s.literal] == nil {
		n.literal[s.literal] = new(node)
	}
	return n.literal[s.literal]
}

// search is one lookup. It lives on the stack.
type search struct {
	x      *core.Exchange
	path   string
	listed bool
	found  *item
}

// Match returns the route that takes the exchange, nil when none does, and notes its captures.
// It allocates nothing but for captures that do not fit x.Captures.
func (t *Table) Match(x *core.Exchange) *core.Route {
	s := search{x: x, path: x.Request.Path(), listed: t.listed}
	t.find(&s, x.Request.Host())
	if s.found == nil {
		return nil
	}
	if s.found.path.captures {
		s.found.path.capture(x, s.path)
	}
	return s.found.route
}

func (t *Table) find(s *search, host string) {
	if tr := t.exact[host]; tr != nil && tr.search(s) {
		return
	}
	if len(t.wildcards) > 0 {
		for i := 0; i < len(host); i++ {
			if host[i] != '.' {
				continue
			}
			if tr := t.wildcards[host[i:]]; tr != nil && i > 0 && tr.search(s) {
				return
			}
		}
	}
	t.any.search(s)
}

// search tries the tree's items in the order of rule 2 and reports whether the lookup is over.
func (t *tree) search(s *search) bool {
	rooted := strings.HasPrefix(s.path, "/")
	return rooted && t.root.fixed(s, s.path) || s.try(t.regex, true) ||
		rooted && t.root.prefix(s, s.path) || s.try(t.none, false)
}

// try takes the first of the items that holds. With order: listed the lookup goes on, for an item
// that is listed earlier.
func (s *search) try(items []*item, regex bool) bool {
	for _, it := range items {
		if s.found != nil && it.listed >= s.found.listed {
			return false
		}
		if regex && !it.path.re.MatchString(s.path) || !it.holds(s.x) {
			continue
		}
		s.found = it
		return !s.listed
	}
	return false
}

// fixed tries patterns without ** for the path below n, literals first (rule 3).
func (n *node) fixed(s *search, path string) bool {
	if path == "" {
		return s.try(n.ends, false)
	}
	seg, rest := cut(path)
	if c := n.literal[seg]; c != nil && c.fixed(s, rest) {
		return true
	}
	return n.any != nil && seg != "" && n.any.fixed(s, rest)
}

// prefix tries patterns that end in **, the deepest first.
func (n *node) prefix(s *search, path string) bool {
	if path != "" {
		seg, rest := cut(path)
		if c := n.literal[seg]; c != nil && c.prefix(s, rest) {
			return true
		}
		if n.any != nil && seg != "" && n.any.prefix(s, rest) {
			return true
		}
	}
	return s.try(n.rest, false)
}
