package config

import (
	"fmt"
	"path/filepath"

	"github.com/sluiceproxy/sluice/core/config/decode"
)

// patterns notes the patterns of an include key; what is not one is an error later, by decoding.
func (l *loader) patterns(include *decode.Field) {
	at := (*decode.Path)(nil).Key("include")
	items := include.Value.Items
	if include.Value.Kind == decode.Scalar {
		items = []*decode.Node{include.Value}
	}
	for _, item := range items {
		if item.Kind != decode.Scalar {
			continue
		}
		if _, err := filepath.Match(item.Text, ""); err != nil {
			l.fail(item.Pos, at, fmt.Sprintf("%q is not a pattern: write one such as conf.d/*.yaml", item.Text))
			continue
		}
		pattern := item.Text
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(l.file.dir, pattern)
		}
		l.file.inputs.patterns = append(l.file.inputs.patterns, pattern)
	}
}

// merge adds an included document to root.
func (l *loader) merge(root, part *decode.Node) {
	switch {
	case part == nil || part.Kind == decode.Null:
		return
	case part.Kind != decode.Map:
		l.fail(part.Pos, nil, fmt.Sprintf("an included file must be a mapping, not %s", part.Kind))
		return
	}
	for _, f := range part.Fields {
		at := (*decode.Path)(nil).Key(f.Key)
		have := root.Field(f.Key)
		switch {
		case f.Key == "include":
			l.fail(f.Pos, at, "an included file cannot include others: list them in "+l.file.name)
		case have == nil:
			root.Fields = append(root.Fields, f)
		case have.Value.Kind == decode.Null:
			have.Value = f.Value
		case f.Value.Kind == decode.Null:
		case f.Key == "routes":
			have.Value = joined(have.Value, f.Value)
		case f.Key == "listeners" || f.Key == "upstreams" || f.Key == "filters":
			l.mergeNames(have.Value, f.Value, at)
		default:
			l.fail(f.Pos, at, fmt.Sprintf("is already given at %s: it may be in one file only", have.Pos))
		}
	}
}

// joined is one list of two; a single value counts as a list of one.
func joined(a, b *decode.Node) *decode.Node {
	return &decode.Node{Pos: a.Pos, Kind: decode.List, Items: append(asList(a), asList(b)...)}
}

func asList(n *decode.Node) []*decode.Node {
	if n.Kind == decode.List {
		return n.Items
	}
	return []*decode.Node{n}
}

func (l *loader) mergeNames(into, from *decode.Node, at *decode.Path) {
	if from.Kind != decode.Map && from.Kind != decode.Broken {
		l.fail(from.Pos, at, fmt.Sprintf("must be a mapping, not %s", from.Kind))
	}
	if into.Kind != decode.Map {
		return // which decoding it says
	}
	for _, f := range from.Fields {
		if first := into.Field(f.Key); first != nil {
			l.fail(f.Pos, at.Key(f.Key), fmt.Sprintf("is already given at %s: choose another name", first.Pos))
			continue
		}
		into.Fields = append(into.Fields, f)
	}
}
