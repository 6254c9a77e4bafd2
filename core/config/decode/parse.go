package decode

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// Limits of a document.
const (
	MaxBytes = 4 << 20   // size
	MaxDepth = 100       // lists and mappings within each other
	MaxNodes = 1_000_000 // values, after aliases were put in
)

// Parse reads a document. getenv looks up an environment variable for ${NAME}. Of an unreadable
// document the result is nil; otherwise it holds what could be read, and must not be used when
// there are errors.
func Parse(file string, text []byte, getenv func(string) (string, bool)) (*Node, Errors) {
	p := &parser{file: file, getenv: getenv, open: make(map[*yaml.Node]bool)}
	doc := p.document(text)
	if doc == nil {
		return nil, p.errs
	}
	return p.node(doc, nil, 0), p.errs
}

type parser struct {
	file   string
	getenv func(string) (string, bool)
	errs   Errors
	nodes  int
	open   map[*yaml.Node]bool // anchors that are being put in, to find one within itself
}

func (p *parser) fail(pos Pos, at *Path, format string, args ...any) {
	p.errs = append(p.errs, &Error{Pos: pos, Path: at.String(), Msg: fmt.Sprintf(format, args...)})
}

// document returns the only document's content, or nil and an error noted.
func (p *parser) document(text []byte) *yaml.Node {
	whole := Pos{File: p.file}
	if len(text) > MaxBytes {
		p.fail(whole, nil, "the file has %d bytes, %d are allowed: split it with include", len(text), MaxBytes)
		return nil
	}
	if !utf8.Valid(text) {
		p.fail(p.invalidByte(text), nil, "the file is not UTF-8 text")
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc, second yaml.Node
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) {
		p.fail(whole, nil, "the file is empty")
		return nil
	}
	if err != nil {
		p.syntax(text, err)
		return nil
	}
	if err := dec.Decode(&second); err == nil {
		p.fail(p.pos(&second), nil, "a second document begins here: a configuration is one document, use include for more files")
		return nil
	} else if !errors.Is(err, io.EOF) {
		p.syntax(text, err)
		return nil
	}
	return doc.Content[0]
}

func (p *parser) invalidByte(text []byte) Pos {
	i := 0
	for i < len(text) {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size < 2 {
			break
		}
		i += size
	}
	return p.offset(text, i)
}

func (p *parser) offset(text []byte, i int) Pos {
	line := text[bytes.LastIndexByte(text[:i], '\n')+1 : i]
	return Pos{p.file, bytes.Count(text[:i], []byte("\n")) + 1, utf8.RuneCount(line) + 1}
}

var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(?s:(.*))$`)

// syntax notes what yaml.v3 found. Its line is that of the token before or after the mistake.
func (p *parser) syntax(text []byte, err error) {
	m := yamlError.FindStringSubmatch(err.Error())
	if m == nil {
		p.fail(Pos{File: p.file}, nil, "not valid YAML: %v", err)
		return
	}
	line, _ := strconv.Atoi(m[1])
	if tab := tabbedLine(text, line); tab > 0 {
		p.fail(Pos{p.file, tab, 1}, nil, "a tab in the indentation: YAML allows only spaces")
		return
	}
	pos := Pos{File: p.file, Line: line}
	if line > 0 {
		pos.Column = 1
	}
	p.fail(pos, nil, "not valid YAML: %s", strings.TrimSpace(m[2]))
}

// tabbedLine returns the line among those beside number n whose indentation has a tab, or 0.
func tabbedLine(text []byte, n int) int {
	lines := bytes.Split(text, []byte("\n"))
	for _, i := range []int{n, n + 1, n - 1} {
		if i < 1 || i > len(lines) {
			continue
		}
		line := lines[i-1]
		indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]
		if bytes.IndexByte(indent, '\t') >= 0 {
			return i
		}
	}
	return 0
}

func (p *parser) pos(y *yaml.Node) Pos { return Pos{p.file, y.Line, y.Column} }

// node converts y and all below.
func (p *parser) node(y *yaml.Node, at *Path, depth int) *Node {
	n := &Node{Pos: p.pos(y), Kind: Broken}
	if p.nodes++; p.nodes >= MaxNodes {
		if p.nodes == MaxNodes {
			p.fail(n.Pos, at, "more than %d values, aliases counted each time: split the file with include", MaxNodes)
		}
		return n
	}
	if depth > MaxDepth {
		p.fail(n.Pos, at, "lists and mappings are nested more than %d deep", MaxDepth)
		return n
	}
	if y.Style&yaml.TaggedStyle != 0 {
		p.fail(n.Pos, at, "the tag %q is not understood: leave it away", y.Tag)
		return n
	}
	switch y.Kind {
	case yaml.AliasNode:
		return p.alias(y, at, depth)
	case yaml.ScalarNode:
		p.scalar(n, y, at)
	case yaml.SequenceNode:
		n.Kind = List
		for i, item := range y.Content {
			n.Items = append(n.Items, p.node(item, at.Index(i, itemName(item)), depth+1))
		}
	case yaml.MappingNode:
		n.Kind = Map
		p.mapping(n, y, at, depth)
	}
	return n
}

func (p *parser) alias(y *yaml.Node, at *Path, depth int) *Node {
	if p.open[y.Alias] {
		p.fail(p.pos(y), at, "the alias *%s stands within what it stands for", y.Value)
		return &Node{Pos: p.pos(y), Kind: Broken}
	}
	p.open[y.Alias] = true
	defer delete(p.open, y.Alias)
	return p.node(y.Alias, at, depth)
}

func (p *parser) scalar(n *Node, y *yaml.Node, at *Path) {
	n.Plain = y.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
	if n.Plain && y.Tag == "!!null" {
		n.Kind = Null
		return
	}
	text, err := expand(y.Value, p.getenv)
	if err != nil {
		p.fail(n.Pos, at, "%v", err)
		return
	}
	n.Kind, n.Text = Scalar, text
}

// mapping converts the entries of y, then those of its merge keys (<<) that it does not have.
func (p *parser) mapping(n *Node, y *yaml.Node, at *Path, depth int) {
	seen := make(map[string]Pos, len(y.Content)/2)
	var merged []*Node
	for i := 0; i+1 < len(y.Content); i += 2 {
		key, value := y.Content[i], y.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.Style&yaml.TaggedStyle != 0 {
			p.fail(p.pos(key), at, "a key must be plain text")
			continue
		}
		if key.Tag == "!!merge" {
			merged = append(merged, p.node(value, at.Key("<<"), depth+1))
			continue
		}
		if first, twice := seen[key.Value]; twice {
			p.fail(p.pos(key), at, "the key %q is given twice, first in line %d", key.Value, first.Line)
			continue
		}
		seen[key.Value] = p.pos(key)
		n.Fields = append(n.Fields, Field{key.Value, p.pos(key), p.node(value, at.Key(key.Value), depth+1)})
	}
	for _, m := range merged {
		p.merge(n, m, seen, at)
	}
}

func (p *parser) merge(n, from *Node, seen map[string]Pos, at *Path) {
	switch from.Kind {
	case Broken:
	case Map:
		for _, f := range from.Fields {
			if _, own := seen[f.Key]; own {
				continue
			}
			seen[f.Key] = f.Pos
			n.Fields = append(n.Fields, f)
		}
	case List:
		for _, item := range from.Items {
			if item.Kind != Map {
				p.fail(item.Pos, at, "<< takes a mapping or a list of mappings, not %s", item.Kind)
				continue
			}
			p.merge(n, item, seen, at)
		}
	default:
		p.fail(from.Pos, at, "<< takes a mapping or a list of mappings, not %s", from.Kind)
	}
}

// itemName returns the name: that an item of a list gives itself, for its path.
func itemName(y *yaml.Node) string {
	if y.Kind != yaml.MappingNode {
		return ""
	}
	for i := 0; i+1 < len(y.Content); i += 2 {
		if y.Content[i].Value == "name" && y.Content[i+1].Kind == yaml.ScalarNode {
			return y.Content[i+1].Value
		}
	}
	return ""
}
