package config

import (
	"encoding/json"
	"fmt"
	"path"
	"reflect"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/config/decode"
)

// Schema returns the JSON Schema (draft 2020-12) of a configuration, with the filters that are
// linked into the program. It is for editors: what a schema cannot say, such as that an upstream
// exists, Load checks.
func Schema() ([]byte, error) {
	b := &schemaBuilder{defs: make(map[string]any), names: make(map[reflect.Type]string)}
	root := b.mapping(reflect.TypeFor[File]())
	b.filters()
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Sluice configuration"
	root["$defs"] = b.defs
	text, err := json.MarshalIndent(root, "", "  ")
	return append(text, '\n'), err
}

type schema = map[string]any

// schemaBuilder gives each struct a definition, so that those used often are written once.
type schemaBuilder struct {
	defs  map[string]any
	names map[reflect.Type]string
}

// environment is a value that is not known before the environment is.
var environment = schema{"type": "string", "pattern": `\$\{[A-Z_][A-Z0-9_]*(:-[^}]*)?\}`}

// text accepts what YAML takes for a number or a boolean but is read as text.
var text = schema{"type": []string{"string", "number", "boolean"}}

func reference(name string) schema { return schema{"$ref": "#/$defs/" + name} }

func anyOf(choices ...any) schema { return schema{"anyOf": choices} }

func orList(item schema) schema { return anyOf(item, schema{"type": "array", "items": item}) }

func (b *schemaBuilder) of(t reflect.Type, enum []string) schema {
	if t.Kind() == reflect.Pointer {
		return b.of(t.Elem(), enum)
	}
	switch {
	case t == reflect.TypeFor[core.FilterList]():
		return reference("filters")
	case decode.IsText(t) && decode.IsMapping(t):
		return anyOf(text, b.definition(t))
	case decode.IsText(t):
		return scalarSchema(t)
	case decode.IsMapping(t):
		return b.definition(t)
	}
	switch t.Kind() {
	case reflect.Slice:
		return orList(b.of(t.Elem(), enum))
	case reflect.Map:
		return schema{"type": "object", "additionalProperties": b.of(t.Elem(), enum)}
	case reflect.Bool:
		return anyOf(schema{"type": "boolean"}, environment)
	case reflect.Float32, reflect.Float64:
		return anyOf(schema{"type": "number"}, environment)
	case reflect.Interface:
		return schema{}
	case reflect.String:
		if enum != nil {
			return anyOf(schema{"enum": enum}, environment)
		}
		return text
	}
	return anyOf(schema{"type": "integer"}, environment)
}

func scalarSchema(t reflect.Type) schema {
	kind := scalarKinds[t]
	if kind.pattern == "" {
		return text
	}
	return anyOf(schema{"type": "string", "pattern": kind.pattern}, schema{"const": 0}, environment)
}

// definition returns a reference to the definition of a struct, which it makes when there is none.
func (b *schemaBuilder) definition(t reflect.Type) schema {
	name, ok := b.names[t]
	if !ok {
		name = path.Base(t.PkgPath()) + "." + t.Name()
		for n := 2; b.defs[name] != nil; n++ {
			name = fmt.Sprintf("%s.%s%d", path.Base(t.PkgPath()), t.Name(), n)
		}
		b.names[t] = name
		b.defs[name] = schema{} // so that a struct within itself finds it
		b.defs[name] = b.mapping(t)
	}
	return reference(name)
}

func (b *schemaBuilder) mapping(t reflect.Type) schema {
	properties := make(schema)
	var required []string
	for _, f := range decode.Fields(t) {
		properties[f.Key] = describe(b.of(f.Type, f.Enum), fieldDoc(f))
		if f.Required {
			required = append(required, f.Key)
		}
	}
	out := describe(schema{"type": "object", "properties": properties, "additionalProperties": false}, typeDoc(t))
	if required != nil {
		out["required"] = required
	}
	return out
}

// describe returns a copy: s may be shared.
func describe(s schema, doc string) schema {
	out := schema{}
	for k, v := range s {
		out[k] = v
	}
	if doc != "" {
		out["description"] = doc
	}
	return out
}

// filters makes the definitions of a filters list and of each kind of filter.
func (b *schemaBuilder) filters() {
	kinds := make(schema)
	for _, kind := range core.Kinds() {
		kinds[kind.Name] = describe(b.kind(kind), kind.Doc)
	}
	b.defs["filter"] = anyOf(
		schema{"type": "string", "description": "A kind of filter without configuration, or a name under the top-level filters."},
		schema{"type": "object", "properties": kinds, "additionalProperties": false, "minProperties": 1, "maxProperties": 1},
	)
	b.defs["filters"] = orList(reference("filter"))
}

func (b *schemaBuilder) kind(kind *core.Kind) schema {
	own := b.mapping(kind.Config)
	properties := own["properties"].(schema)
	for key, property := range b.mapping(reflect.TypeFor[common]())["properties"].(schema) {
		properties[key] = property
	}
	choices := []any{own}
	if decode.IsText(kind.Config) {
		choices = append(choices, text)
	}
	if own["required"] == nil {
		choices = append(choices, schema{"type": "null"})
	}
	return anyOf(choices...)
}
