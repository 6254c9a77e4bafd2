package decode

import (
	"strconv"
	"strings"
	"unicode"
)

// Path is where a node stands in its document. The nil Path is the document. It is made of links
// to what is above, and becomes text only for an error.
type Path struct {
	above *Path
	key   string // of a mapping's entry, or the name of a list's item
	index int    // of a list's item, -1 for a mapping's entry
}

// Key returns the path of the entry under key.
func (p *Path) Key(key string) *Path { return &Path{above: p, key: key, index: -1} }

// Index returns the path of item i. name is shown beside the number, "" for none.
func (p *Path) Index(i int, name string) *Path { return &Path{above: p, key: name, index: i} }

// String returns the path as in "routes[3] shop.filters[0].retry.max".
func (p *Path) String() string {
	switch {
	case p == nil:
		return ""
	case p.index < 0 && p.above == nil:
		return shown(p.key)
	case p.index < 0:
		return p.above.String() + "." + shown(p.key)
	case p.key == "":
		return p.above.String() + "[" + strconv.Itoa(p.index) + "]"
	}
	return p.above.String() + "[" + strconv.Itoa(p.index) + "] " + shown(p.key)
}

// shown quotes a key that would make an error hard to read.
func shown(key string) string {
	if key == "" || strings.ContainsFunc(key, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
		return strconv.Quote(key)
	}
	return key
}
