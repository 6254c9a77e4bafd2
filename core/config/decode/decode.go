package decode

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/sluiceproxy/sluice/core"
)

// Func decodes n into v in place of the conventions.
type Func func(d *Decoder, n *Node, at *Path, v reflect.Value)

// Decoder fills structs from nodes and gathers what is wrong. It is for one goroutine.
type Decoder struct {
	// Special decodes the types that need more than the conventions.
	Special map[reflect.Type]Func
	// Errors is what was wrong so far, in the order found.
	Errors Errors

	fields map[reflect.Type][]StructField
}

// Fail notes a mistake.
func (d *Decoder) Fail(pos Pos, at *Path, format string, args ...any) {
	d.Errors = append(d.Errors, &Error{Pos: pos, Path: at.String(), Msg: fmt.Sprintf(format, args...)})
}

// Decode gives what into points at its defaults and fills it from n.
func (d *Decoder) Decode(n *Node, at *Path, into any) {
	v := reflect.ValueOf(into).Elem()
	Defaults(v)
	d.value(given(n, v.Type()), at, v, nil)
}

// Plain is Decode by the conventions even if v's type is in Special, and without defaults. It is
// what a Func calls for its own type.
func (d *Decoder) Plain(n *Node, at *Path, v reflect.Value) { d.plain(n, at, v, nil) }

// Defaults calls Defaults of v, which is addressable, after those of the structs within it: the
// outer one has the last word.
func Defaults(v reflect.Value) {
	if v.Kind() != reflect.Struct {
		return
	}
	for i := range v.NumField() {
		if v.Type().Field(i).IsExported() {
			Defaults(v.Field(i))
		}
	}
	if c, ok := v.Addr().Interface().(core.Defaulter); ok {
		c.Defaults()
	}
}

func (d *Decoder) value(n *Node, at *Path, v reflect.Value, enum []string) {
	if n.Kind == Broken {
		return
	}
	if special := d.Special[v.Type()]; special != nil {
		special(d, n, at, v)
		return
	}
	d.plain(n, at, v, enum)
}

func (d *Decoder) plain(n *Node, at *Path, v reflect.Value, enum []string) {
	switch {
	case v.Kind() == reflect.Pointer:
		d.pointer(n, at, v, enum)
	case IsText(v.Type()) && (n.Kind == Scalar || v.Kind() == reflect.Struct && !IsMapping(v.Type())):
		d.text(n, at, v)
	case v.Kind() == reflect.Struct:
		d.structure(n, at, v)
	case v.Kind() == reflect.Slice:
		d.list(n, at, v, enum)
	case v.Kind() == reflect.Map:
		d.mapping(n, at, v, enum)
	case v.Kind() == reflect.Interface:
		if value := Any(n); value != nil {
			v.Set(reflect.ValueOf(value))
		}
	default:
		d.scalar(n, at, v, enum)
	}
}

// pointer leaves nil what has no value: it was not given.
func (d *Decoder) pointer(n *Node, at *Path, v reflect.Value, enum []string) {
	if n.Kind == Null {
		return
	}
	if v.IsNil() {
		v.Set(reflect.New(v.Type().Elem()))
		Defaults(v.Elem())
	}
	d.value(n, at, v.Elem(), enum)
}

// text is for types that read themselves, and for the short form of a struct.
func (d *Decoder) text(n *Node, at *Path, v reflect.Value) {
	if !d.want(n, at, Scalar) {
		return
	}
	err := v.Addr().Interface().(interface{ UnmarshalText([]byte) error }).UnmarshalText([]byte(n.Text))
	if err != nil {
		d.Fail(n.Pos, at, "%s", explain(v.Type(), n.Text, err))
		return
	}
	d.validate(n, at, v)
}

// want notes an error and returns false when n is not of the kind.
func (d *Decoder) want(n *Node, at *Path, kind Kind) bool {
	if n.Kind == kind {
		return true
	}
	if n.Kind == Null {
		d.Fail(n.Pos, at, "has no value: %s is due", kind)
	} else {
		d.Fail(n.Pos, at, "must be %s, not %s", kind, n.Kind)
	}
	return false
}

func (d *Decoder) structure(n *Node, at *Path, v reflect.Value) {
	if n.Kind == Null || !d.want(n, at, Map) {
		return
	}
	before := len(d.Errors)
	fields := d.fieldsOf(v.Type())
	for _, f := range n.Fields {
		i := slices.IndexFunc(fields, func(known StructField) bool { return known.Key == f.Key })
		if i < 0 {
			d.Fail(f.Pos, at, "unknown key %q%s", f.Key, Hint(f.Key, keysOf(fields)))
			continue
		}
		if fields[i].Required && f.Value.Kind == Null {
			d.Fail(f.Pos, at, "the key %q has no value", f.Key)
			continue
		}
		d.value(f.Value, at.Key(f.Key), v.FieldByIndex(fields[i].Index), fields[i].Enum)
	}
	for _, known := range fields {
		if known.Required && n.Field(known.Key) == nil {
			d.Fail(n.Pos, at, "the key %q is missing", known.Key)
		}
	}
	if len(d.Errors) == before {
		d.validate(n, at, v)
	}
}

func (d *Decoder) fieldsOf(t reflect.Type) []StructField {
	if d.fields == nil {
		d.fields = make(map[reflect.Type][]StructField)
	}
	fields, ok := d.fields[t]
	if !ok {
		fields = Fields(t)
		d.fields[t] = fields
	}
	return fields
}

func keysOf(fields []StructField) []string {
	out := make([]string, len(fields))
	for i := range fields {
		out[i] = fields[i].Key
	}
	return out
}

// Hint ends a sentence about an unknown name: with the one that was meant, else with all.
func Hint(name string, known []string) string {
	if near := core.Nearest(name, known); near != "" {
		return fmt.Sprintf(": did you mean %q?", near)
	}
	if len(known) == 0 {
		return ""
	}
	return ": known are " + strings.Join(known, ", ")
}

// validate asks v whether it is right as a whole. Errors that were joined are noted one by one.
func (d *Decoder) validate(n *Node, at *Path, v reflect.Value) {
	c, ok := v.Addr().Interface().(core.Validator)
	if !ok {
		return
	}
	err := c.Validate()
	if err == nil {
		return
	}
	list := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		list = joined.Unwrap()
	}
	for _, err := range list {
		d.Fail(n.Pos, at, "%s", oneLine(err.Error()))
	}
}

// list takes what is not a list for a list of one.
func (d *Decoder) list(n *Node, at *Path, v reflect.Value, enum []string) {
	if n.Kind == Null {
		return
	}
	items, single := n.Items, n.Kind != List
	if single {
		items = []*Node{n}
	}
	v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
	for i, item := range items {
		where := at
		if !single {
			where = at.Index(i, Name(item))
		}
		Defaults(v.Index(i))
		d.value(given(item, v.Index(i).Type()), where, v.Index(i), enum)
	}
}

// given makes a mapping of nothing where a struct is due: an entry that stands in a list or a
// mapping is given, even if all its keys have defaults.
func given(n *Node, t reflect.Type) *Node {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if n.Kind != Null || !IsMapping(t) {
		return n
	}
	return &Node{Pos: n.Pos, Kind: Map}
}

// Name returns the name: that a list's item gives itself, "" without one.
func Name(item *Node) string {
	if name := item.Get("name"); name != nil {
		return name.Text
	}
	return ""
}

func (d *Decoder) mapping(n *Node, at *Path, v reflect.Value, enum []string) {
	if n.Kind == Null || !d.want(n, at, Map) {
		return
	}
	t := v.Type()
	v.Set(reflect.MakeMapWithSize(t, len(n.Fields)))
	for _, f := range n.Fields {
		before := len(d.Errors)
		key, value := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
		d.value(&Node{Pos: f.Pos, Kind: Scalar, Text: f.Key, Plain: true}, at.Key(f.Key), key, nil)
		Defaults(value)
		d.value(given(f.Value, value.Type()), at.Key(f.Key), value, enum)
		if len(d.Errors) == before {
			v.SetMapIndex(key, value)
		}
	}
}

func (d *Decoder) scalar(n *Node, at *Path, v reflect.Value, enum []string) {
	if !d.want(n, at, Scalar) {
		return
	}
	var err error
	switch {
	case v.Kind() == reflect.String:
		if enum != nil && !slices.Contains(enum, n.Text) {
			d.Fail(n.Pos, at, "%q is not a value that it takes%s", n.Text, Hint(n.Text, enum))
			return
		}
		v.SetString(n.Text)
	case v.Kind() == reflect.Bool:
		if n.Text != "true" && n.Text != "false" {
			d.Fail(n.Pos, at, "%q is not true or false", n.Text)
			return
		}
		v.SetBool(n.Text == "true")
	case v.CanInt():
		var i int64
		i, err = strconv.ParseInt(n.Text, 10, v.Type().Bits())
		v.SetInt(i)
	case v.CanUint():
		var u uint64
		u, err = strconv.ParseUint(n.Text, 10, v.Type().Bits())
		v.SetUint(u)
	case v.CanFloat():
		d.float(n, at, v)
	default:
		panic("configuration field of a type that no value can be decoded into: " + v.Type().String())
	}
	if errors.Is(err, strconv.ErrRange) {
		d.Fail(n.Pos, at, "%s is out of range", n.Text)
	} else if err != nil {
		d.Fail(n.Pos, at, "%q is not a whole number", n.Text)
	}
}

func (d *Decoder) float(n *Node, at *Path, v reflect.Value) {
	f, err := strconv.ParseFloat(n.Text, 64)
	if err != nil || f-f != 0 { // also not NaN or an infinity
		d.Fail(n.Pos, at, "%q is not a number", n.Text)
		return
	}
	v.SetFloat(f)
}
