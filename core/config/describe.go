package config

import (
	_ "embed"
	"encoding/json"
	"net/netip"
	"reflect"
	"regexp"
	"strings"
	"sync"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/config/decode"
)

//go:generate go run ./internal/docgen ../.. fielddocs.json
//go:generate go test ./reference -run Fresh -update

//go:embed fielddocs.json
var fieldDocs []byte

// comments are the comments of configuration structs and fields, by "import/path.Type.Field".
var comments = sync.OnceValue(func() map[string]string {
	var out map[string]string
	if err := json.Unmarshal(fieldDocs, &out); err != nil {
		panic("core/config/fielddocs.json: " + err.Error())
	}
	return out
})

// fieldDoc returns what a field's comment says, under the field's name in YAML. It is "" for
// plugins from elsewhere, whose sources are not at hand.
func fieldDoc(f decode.StructField) string {
	doc := comments()[f.Owner.PkgPath()+"."+f.Owner.Name()+"."+f.Name]
	if rest, ok := strings.CutPrefix(doc, f.Name+" "); ok {
		doc = f.Key + " " + rest
	}
	return inYAML(doc, f.Owner)
}

// typeDoc returns what a struct's comment says, without its name, which means nothing to those who
// write YAML.
func typeDoc(t reflect.Type) string {
	doc, ok := strings.CutPrefix(comments()[t.PkgPath()+"."+t.Name()], t.Name()+" ")
	if first, rest, _ := strings.Cut(doc, "."); strings.Contains(first, "YAML of the filter") {
		doc = rest
	}
	if rest, is := strings.CutPrefix(doc, "is "); ok && is {
		doc = rest
	}
	return inYAML(capital(strings.TrimSpace(doc)), t)
}

// inYAML writes the keys of t for the names of its fields, as far as those cannot be words.
func inYAML(doc string, t reflect.Type) string {
	for _, f := range decode.Fields(t) {
		doc = strings.ReplaceAll(doc, "what "+f.Name+" is", "what "+f.Key+" is")
		if camelCase.MatchString(f.Name) {
			doc = strings.ReplaceAll(doc, f.Name, f.Key)
		}
	}
	return doc
}

var camelCase = regexp.MustCompile(`[a-z][A-Z]`)

func capital(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// scalarKind describes a type that is read from a single value.
type scalarKind struct {
	name    string // in the reference
	pattern string // of the text, "" for any
}

// number is a decimal number in a pattern.
const number = `[0-9]+(\.[0-9]+)?`

var scalarKinds = map[reflect.Type]scalarKind{
	reflect.TypeFor[core.Duration]():      {"duration", `^(` + durationPattern + `|0)$`},
	reflect.TypeFor[core.DurationRange](): {"duration range", `^` + durationPattern + `( *\.\. *` + durationPattern + `)?$`},
	reflect.TypeFor[core.Size]():          {"size", `^(` + number + ` *([kKmMgG]([iI]?[bB])?|[bB])|0)$`},
	reflect.TypeFor[core.Percent]():       {"percentage", `^` + number + ` *%$`},
	reflect.TypeFor[core.Rate]():          {"rate", `^` + number + ` */ *[smh]$`},
	reflect.TypeFor[core.Template]():      {"template", ""},
	reflect.TypeFor[core.Condition]():     {"condition", ""},
	reflect.TypeFor[core.Outcome]():       {"outcome", ""},
	reflect.TypeFor[netip.Addr]():         {"IP", ""},
	reflect.TypeFor[netip.AddrPort]():     {"IP and port", ""},
	reflect.TypeFor[netip.Prefix]():       {"network", ""},
}

const durationPattern = `([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+`
