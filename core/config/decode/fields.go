package decode

import (
	"encoding"
	"reflect"
	"strings"
)

// StructField is a field of a configuration struct that has a key in YAML.
type StructField struct {
	Key      string
	Required bool
	Enum     []string     // the values it may have, nil for any
	Owner    reflect.Type // the struct that declares it
	Name     string       // its name in Owner
	Type     reflect.Type
	Index    []int // for reflect.Value.FieldByIndex on the struct it was asked of
}

// Fields returns the keys of a configuration struct in the order of its fields. A field tagged
// `yaml:",inline"` is a struct whose keys stand among those of its owner.
func Fields(t reflect.Type) []StructField {
	var out []StructField
	for i := range t.NumField() {
		f := t.Field(i)
		key, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if options == "inline" && f.Type.Kind() == reflect.Struct {
			for _, inner := range Fields(f.Type) {
				inner.Index = append([]int{i}, inner.Index...)
				out = append(out, inner)
			}
			continue
		}
		if key == "" || key == "-" || !f.IsExported() {
			continue
		}
		field := StructField{
			Key: key, Required: options == "required",
			Owner: t, Name: f.Name, Type: f.Type, Index: []int{i},
		}
		if enum := f.Tag.Get("enum"); enum != "" {
			field.Enum = strings.Split(enum, ",")
		}
		out = append(out, field)
	}
	return out
}

var textType = reflect.TypeFor[encoding.TextUnmarshaler]()

// IsText reports whether values of t are read from a single value by their UnmarshalText.
func IsText(t reflect.Type) bool { return reflect.PointerTo(t).Implements(textType) }

// IsMapping reports whether t is a struct with keys.
func IsMapping(t reflect.Type) bool { return t.Kind() == reflect.Struct && len(Fields(t)) > 0 }
