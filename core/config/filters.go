package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/config/decode"
)

// common are the keys that every filter takes beside its own.
type common struct {
	// When is a condition; for exchanges that do not match it the filter is not there. Default: none.
	When *core.Condition `yaml:"when"`
	// Name tells the filter from others of its kind in logs, metrics and errors. It is unique
	// within its list. Default: the kind, with #2, #3 and so on when it repeats.
	Name string `yaml:"name"`
	// OnError says what becomes of an exchange when the filter fails: fail, it is answered with
	// 500; skip, it goes on as if the filter were not there. Default: fail.
	OnError string `yaml:"on_error" enum:"fail,skip"`
}

var commonKeys = []string{"when", "name", "on_error"}

// filterLoader decodes filter lists. Named filters are decoded when first referred to, so that
// they may refer to each other in any order.
type filterLoader struct {
	named map[string]*namedFilters
	order []string   // of named, as in the document
	scope core.Scope // of the list that is being decoded
}

// namedFilters is one entry of the top-level filters.
type namedFilters struct {
	pos   decode.Pos
	node  *decode.Node
	items []filterItem
	state resolution
	used  bool
}

type resolution uint8

const (
	unresolved resolution = iota
	resolving
	resolved
)

// filterItem is a filter of a list.
type filterItem struct {
	spec   core.FilterSpec
	config *decode.Node // of the kind, without the common keys
	use    decode.Pos   // where the list has it: of a named filter the reference
	at     *decode.Path // of use
}

func newFilterLoader(top *decode.Node) *filterLoader {
	fl := &filterLoader{named: make(map[string]*namedFilters)}
	if top == nil {
		return fl
	}
	for _, f := range top.Fields {
		fl.named[f.Key] = &namedFilters{pos: f.Pos, node: f.Value}
		fl.order = append(fl.order, f.Key)
	}
	return fl
}

// within returns a Func that decodes a struct whose filter lists have the scope.
func (fl *filterLoader) within(scope core.Scope) decode.Func {
	return func(d *decode.Decoder, n *decode.Node, at *decode.Path, v reflect.Value) {
		outer := fl.scope
		fl.scope = scope
		d.Plain(n, at, v)
		fl.scope = outer
	}
}

// all decodes the top-level filters.
func (fl *filterLoader) all(d *decode.Decoder, n *decode.Node, at *decode.Path, v reflect.Value) {
	out := make(map[string]core.FilterList, len(fl.order))
	if n.Kind != decode.Map && n.Kind != decode.Null {
		d.Fail(n.Pos, at, "must be a mapping of names to filters, not %s", n.Kind)
	}
	for _, name := range fl.order {
		nf := fl.named[name]
		if core.KindByName(name) != nil {
			d.Fail(nf.pos, at.Key(name), "%q is the name of a kind of filter: choose another name", name)
			continue
		}
		for _, item := range fl.resolve(d, name) {
			out[name] = append(out[name], item.spec)
		}
	}
	v.Set(reflect.ValueOf(out))
}

// list decodes a filters key.
func (fl *filterLoader) list(d *decode.Decoder, n *decode.Node, at *decode.Path, v reflect.Value) {
	items := fl.place(d, fl.items(d, n, at))
	list := make(core.FilterList, len(items))
	for i := range items {
		list[i] = items[i].spec
	}
	v.Set(reflect.ValueOf(list))
}

func (fl *filterLoader) items(d *decode.Decoder, n *decode.Node, at *decode.Path) []filterItem {
	if n.Kind == decode.Null {
		return nil
	}
	if n.Kind != decode.List {
		return fl.item(d, n, at)
	}
	var out []filterItem
	for i, node := range n.Items {
		out = append(out, fl.item(d, node, at.Index(i, ""))...)
	}
	return out
}

// item decodes one item of a list, which is several filters when it refers to a chain.
func (fl *filterLoader) item(d *decode.Decoder, n *decode.Node, at *decode.Path) []filterItem {
	switch {
	case n.Kind == decode.Broken:
		return nil
	case n.Kind == decode.Scalar:
		return fl.byName(d, n, at)
	case n.Kind == decode.Map && len(n.Fields) == 1:
		return fl.byKind(d, n.Fields[0], at)
	case n.Kind == decode.Map && len(n.Fields) > 1:
		d.Fail(n.Fields[1].Pos, at, "%q stands beside %q: a filter is a mapping with one key, indent what belongs to it and give others an item each",
			n.Fields[1].Key, n.Fields[0].Key)
	case n.Kind == decode.Map:
		d.Fail(n.Pos, at, "a filter is a name, or a mapping with one key: this one has none")
	default:
		d.Fail(n.Pos, at, "a filter is a name, or a mapping with one key, not %s", n.Kind)
	}
	return nil
}

// byName is for an item that is only a name: a kind without configuration, or a named filter.
func (fl *filterLoader) byName(d *decode.Decoder, n *decode.Node, at *decode.Path) []filterItem {
	if kind := core.KindByName(n.Text); kind != nil {
		empty := &decode.Node{Pos: n.Pos, Kind: decode.Map}
		return fl.configured(d, kind, decode.Field{Key: n.Text, Pos: n.Pos, Value: empty}, at)
	}
	nf := fl.named[n.Text]
	if nf == nil {
		d.Fail(n.Pos, at, "unknown filter %q%s", n.Text, fl.hint(n.Text))
		return nil
	}
	nf.used = true
	if nf.state == resolving {
		d.Fail(n.Pos, at, "%q contains itself: a chain may refer only to others", n.Text)
		return nil
	}
	items := slices.Clone(fl.resolve(d, n.Text))
	for i := range items {
		items[i].use, items[i].at = n.Pos, at
		items[i].spec.Config = fl.fresh(d, &items[i])
	}
	return items
}

// hint ends a sentence about an unknown filter.
func (fl *filterLoader) hint(name string) string {
	known := slices.Clone(fl.order)
	for _, kind := range core.Kinds() {
		known = append(known, kind.Name)
	}
	return decode.Hint(name, known)
}

// resolve decodes a named filter or chain when that was not yet done.
func (fl *filterLoader) resolve(d *decode.Decoder, name string) []filterItem {
	nf := fl.named[name]
	if nf.state != unresolved {
		return nf.items
	}
	nf.state = resolving
	at := (*decode.Path)(nil).Key("filters").Key(name)
	if nf.node.Kind == decode.Null {
		d.Fail(nf.pos, at, "has no value: a filter or a list of filters is due")
	}
	nf.items = fl.items(d, nf.node, at)
	nf.state = resolved
	return nf.items
}

// fresh decodes the configuration of a named filter once more: each place has its own.
func (fl *filterLoader) fresh(d *decode.Decoder, item *filterItem) any {
	config := item.spec.Kind.New()
	again := decode.Decoder{Special: d.Special}
	again.Decode(item.config, nil, config)
	return config
}

func (fl *filterLoader) byKind(d *decode.Decoder, f decode.Field, at *decode.Path) []filterItem {
	kind := core.KindByName(f.Key)
	switch {
	case kind != nil:
		return fl.configured(d, kind, f, at)
	case fl.named[f.Key] != nil:
		d.Fail(f.Pos, at, "%q is a named filter and takes no keys: write the name alone", f.Key)
	default:
		d.Fail(f.Pos, at, "unknown filter %q%s", f.Key, fl.hint(f.Key))
	}
	return nil
}

// configured decodes the configuration of a filter and the keys that every filter takes.
func (fl *filterLoader) configured(d *decode.Decoder, kind *core.Kind, f decode.Field, at *decode.Path) []filterItem {
	inside := at.Key(kind.Name)
	own, all := splitKeys(d, kind, f.Value, inside)
	var keys common
	d.Decode(all, inside, &keys)
	spec := core.FilterSpec{
		Kind: kind, Name: keys.Name, Config: kind.New(), When: keys.When,
		Pos: f.Pos.String(), Hash: own.Hash(),
	}
	if keys.OnError == "skip" {
		spec.OnError = core.OnErrorSkip
	}
	d.Decode(own, inside, spec.Config)
	return []filterItem{{spec: spec, config: own, use: f.Pos, at: at}}
}

// splitKeys parts the keys of the kind from those that every filter takes.
func splitKeys(d *decode.Decoder, kind *core.Kind, n *decode.Node, at *decode.Path) (own, all *decode.Node) {
	all = &decode.Node{Pos: n.Pos, Kind: decode.Map}
	if n.Kind == decode.Null {
		return &decode.Node{Pos: n.Pos, Kind: decode.Map}, all
	}
	if n.Kind != decode.Map {
		return n, all
	}
	var known []string
	for _, field := range decode.Fields(kind.Config) {
		known = append(known, field.Key)
	}
	drop := slices.Clone(commonKeys)
	for _, f := range n.Fields {
		switch near := core.Nearest(f.Key, append(slices.Clone(known), commonKeys...)); {
		case slices.Contains(commonKeys, f.Key):
			all.Fields = append(all.Fields, f)
		case slices.Contains(commonKeys, near) && !slices.Contains(known, f.Key):
			d.Fail(f.Pos, at, "unknown key %q: did you mean %q?", f.Key, near)
			drop = append(drop, f.Key)
		}
	}
	return n.Without(drop...), all
}

// place checks that the filters may stand where they do, and names them.
func (fl *filterLoader) place(d *decode.Decoder, items []filterItem) []filterItem {
	taken := make(map[string]decode.Pos)
	for _, item := range items {
		if fl.scope != 0 && item.spec.Kind.Scopes&fl.scope == 0 {
			d.Fail(item.use, item.at, "%s is not for the filters of %s: it may stand in those of %s",
				item.spec.Kind.Name, plural(fl.scope), plural(item.spec.Kind.Scopes))
		}
		if item.spec.Name == "" {
			continue
		}
		if first, twice := taken[item.spec.Name]; twice {
			d.Fail(item.use, item.at, "the name %q is taken by the filter at %s: choose another", item.spec.Name, first)
		}
		taken[item.spec.Name] = item.use
	}
	for i := range items {
		if spec := &items[i].spec; spec.Name == "" {
			spec.Name = freeName(spec.Kind.Name, taken)
			taken[spec.Name] = items[i].use
		}
	}
	return items
}

// plural names scopes, as in "listeners, routes".
func plural(s core.Scope) string { return strings.ReplaceAll(s.String(), ",", "s,") + "s" }

func freeName(kind string, taken map[string]decode.Pos) string {
	name := kind
	for n := 2; ; n++ {
		if _, used := taken[name]; !used {
			return name
		}
		name = fmt.Sprintf("%s#%d", kind, n)
	}
}

// unused warns of named filters that nothing refers to.
func (fl *filterLoader) unused() Errors {
	var out Errors
	for _, name := range fl.order {
		if nf := fl.named[name]; !nf.used {
			out = append(out, &Error{Pos: nf.pos, Path: "filters." + name, Msg: "no filters list refers to it"})
		}
	}
	return out
}
