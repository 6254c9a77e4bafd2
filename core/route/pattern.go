package route

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/sluiceproxy/sluice/core"
)

type pathKind uint8

// In the order of rule 2.
const (
	pathFixed  pathKind = iota // without **
	pathRegex                  //
	pathPrefix                 // ends in ** or {name...}
	pathNone                   //
)

// pattern is a compiled path pattern.
type pattern struct {
	text     string
	kind     pathKind
	segments []segment // of fixed and prefix, without the last ** of a prefix
	rest     string    // name of {name...}
	re       *regexp.Regexp
	captures bool
}

// segment is a literal, or any one segment, which may be captured.
type segment struct {
	literal string
	any     bool
	name    string
}

func parsePattern(text string) (*pattern, error) {
	p := &pattern{text: text}
	if expr, ok := strings.CutPrefix(text, "~"); ok {
		return p, p.compile(expr)
	}
	if !strings.HasPrefix(text, "/") {
		return nil, fmt.Errorf("path %q must begin with / or, for a regular expression, with ~", text)
	}
	seen := map[string]bool{}
	parts := strings.Split(text[1:], "/")
	for i, part := range parts {
		last := i == len(parts)-1
		if part == "**" || strings.HasSuffix(part, "...}") {
			if !last {
				return nil, fmt.Errorf("path %q: %s may stand only at the end", text, part)
			}
			return p, p.setRest(part, seen)
		}
		seg, err := parseSegment(text, part, seen)
		if err != nil {
			return nil, err
		}
		p.captures = p.captures || seg.name != ""
		p.segments = append(p.segments, seg)
	}
	return p, nil
}

func (p *pattern) compile(expr string) error {
	re, err := compileWhole(expr)
	if err != nil {
		return fmt.Errorf("path %q: %w", p.text, err)
	}
	p.kind, p.re = pathRegex, re
	for _, name := range re.SubexpNames() {
		p.captures = p.captures || name != ""
	}
	return nil
}

// compileWhole compiles an expression that has to match from beginning to end. The bare expression
// must be valid too: a bracket too many must not close the ones put around it.
func compileWhole(expr string) (*regexp.Regexp, error) {
	if _, err := regexp.Compile(expr); err != nil {
		return nil, err
	}
	return regexp.Compile(`^(?:` + expr + `)$`)
}

func (p *pattern) setRest(part string, seen map[string]bool) error {
	p.kind = pathPrefix
	if part == "**" {
		return nil
	}
	name := strings.TrimSuffix(strings.TrimPrefix(part, "{"), "...}")
	if !strings.HasPrefix(part, "{") || !validName(name) || seen[name] {
		return fmt.Errorf("path %q: %s is not {name...} with a name of its own", p.text, part)
	}
	p.rest, p.captures = name, true
	return nil
}

func parseSegment(text, part string, seen map[string]bool) (segment, error) {
	switch {
	case part == "*":
		return segment{any: true}, nil
	case strings.HasPrefix(part, "{") && strings.HasSuffix(part, "}"):
		name := part[1 : len(part)-1]
		if !validName(name) || seen[name] {
			return segment{}, fmt.Errorf("path %q: %s is not {name} with a name of its own, of letters, digits and _", text, part)
		}
		seen[name] = true
		return segment{any: true, name: name}, nil
	case strings.ContainsAny(part, "*{}"):
		return segment{}, fmt.Errorf("path %q: %q: * and {name} stand for a whole segment; for a part of one use ~REGEX", text, part)
	}
	return segment{literal: part}, nil
}

func validName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// cut takes the first segment off a path that begins with '/'.
func cut(path string) (seg, rest string) {
	path = path[1:]
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

// match reports whether the pattern takes the path, for explaining: tables use the tree.
func (p *pattern) match(path string) bool {
	switch {
	case p.kind == pathNone:
		return true
	case p.kind == pathRegex:
		return p.re.MatchString(path)
	case !strings.HasPrefix(path, "/"):
		return false
	}
	for _, s := range p.segments {
		if path == "" {
			return false
		}
		var seg string
		if seg, path = cut(path); s.any && seg == "" || !s.any && seg != s.literal {
			return false
		}
	}
	return p.kind == pathPrefix || path == ""
}

// capture notes the captures of a path that the pattern matches.
func (p *pattern) capture(x *core.Exchange, path string) {
	if p.kind == pathRegex {
		p.captureGroups(x, path)
		return
	}
	for _, s := range p.segments {
		var seg string
		if seg, path = cut(path); s.name != "" {
			x.Captures = append(x.Captures, core.Capture{Name: s.name, Value: seg})
		}
	}
	if p.rest != "" {
		x.Captures = append(x.Captures, core.Capture{Name: p.rest, Value: strings.TrimPrefix(path, "/")})
	}
}

func (p *pattern) captureGroups(x *core.Exchange, path string) {
	loc := p.re.FindStringSubmatchIndex(path)
	for i, name := range p.re.SubexpNames() {
		if name != "" && 2*i+1 < len(loc) && loc[2*i] >= 0 {
			x.Captures = append(x.Captures, core.Capture{Name: name, Value: path[loc[2*i]:loc[2*i+1]]})
		}
	}
}

// comparePaths orders patterns by rules 2 and 3; 0 when they match the same paths.
func comparePaths(a, b *pattern) int {
	if a.kind != b.kind {
		return int(a.kind) - int(b.kind)
	}
	if a.kind == pathRegex {
		return 0
	}
	for i := range min(len(a.segments), len(b.segments)) {
		s, t := a.segments[i], b.segments[i]
		if s.any != t.any {
			if t.any {
				return -1
			}
			return 1
		}
		if s.literal != t.literal {
			return strings.Compare(s.literal, t.literal)
		}
	}
	return len(b.segments) - len(a.segments)
}
