package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/config/decode"
	"github.com/sluiceproxy/sluice/core/route"
	"github.com/sluiceproxy/sluice/core/server"
	"github.com/sluiceproxy/sluice/core/upstream"
)

const generated = "<!-- Made by go generate ./core/config from the comments in the source. -->\n\n"

// FilterReference returns the reference page of a filter, in Markdown. example is a configuration
// that shows it, "" for none.
func FilterReference(kind *core.Kind, example string) string {
	var p page
	p.title(kind.Name, sentence(kind.Doc))
	p.paragraph(fmt.Sprintf("It may stand in the filters of %s.", plural(kind.Scopes)))
	p.paragraph(typeDoc(kind.Config))
	if example != "" {
		p.WriteString("## Example\n\n```yaml\n" + strings.TrimSpace(example) + "\n```\n\n")
	}
	p.WriteString("## Options\n\n")
	p.options(kind.Config, kind.New())
	p.paragraph("`when`, `name` and `on_error` stand beside these, as in every filter.")
	return p.String()
}

// References returns the pages on what is no filter, in Markdown, by file name.
func References() map[string]string {
	return map[string]string{
		"configuration.md": topReference(),
		"listeners.md":     structReference("listeners", reflect.TypeFor[server.ListenerConfig]()),
		"routes.md":        structReference("routes", reflect.TypeFor[route.Config]()),
		"upstreams.md":     structReference("upstreams", reflect.TypeFor[upstream.Config]()),
		"filters.md":       filtersReference(),
		"variables.md":     variablesReference(),
		"errors.md":        errorsReference(),
	}
}

func topReference() string {
	var p page
	p.title("Configuration", "The keys at the top of a configuration.")
	p.paragraph("An environment variable stands as `${NAME}` or `${NAME:-default}` in any value, not in keys. Its " +
		"name is upper case. It is put in after the YAML was read and cannot change its structure. `$name` " +
		"and `${name}` in lower case are variables of a template, see [variables](variables.md); `$$` is a dollar there.")
	p.paragraph("Where a list is due, a single value is a list of one. Anchors, aliases and merge keys (`<<`) may be used.")
	p.options(reflect.TypeFor[File](), &File{}, "listeners", "routes", "upstreams")
	p.paragraph("See [listeners](listeners.md), [routes](routes.md), [upstreams](upstreams.md) and [filters](filters.md).")
	return p.String()
}

func structReference(name string, t reflect.Type) string {
	var p page
	p.title(capital(name), typeDoc(t))
	p.options(t, reflect.New(t).Interface())
	return p.String()
}

func filtersReference() string {
	var p page
	p.title("Filters", "A filters list stands in a listener, a route or an upstream, and its order is the order in which filters run.")
	p.paragraph("An item is a mapping with one key, the kind of filter, and its options; or a kind alone, for one without options; " +
		"or a name from the top-level `filters`, which may be that of a list. These options stand beside a filter's own:")
	p.options(reflect.TypeFor[common](), &common{})
	p.WriteString("## Kinds\n\n| filter | for | |\n|---|---|---|\n")
	for _, kind := range core.Kinds() {
		p.row("`"+kind.Name+"`", plural(kind.Scopes), sentence(kind.Doc))
	}
	return p.String()
}

func variablesReference() string {
	var p page
	p.title("Variables", "Read as `$name` or `${name}` in templates, and by name alone in conditions.")
	p.WriteString("| variable | type | can be set | |\n|---|---|---|---|\n")
	for _, v := range core.Variables() {
		set := ""
		if v.Settable {
			set = "yes"
		}
		p.row("`$"+v.Name+"`", fmt.Sprint(v.Type), set, sentence(v.Doc))
	}
	return p.String()
}

func errorsReference() string {
	var p page
	p.title("Errors", "Why the proxy answered by itself: in the header `X-Sluice-Error`, the variable `$error`, the access log and the metrics.")
	p.WriteString("| code | status | side | |\n|---|---|---|---|\n")
	for _, c := range core.Codes() {
		p.row("`"+string(c.Code)+"`", fmt.Sprint(c.Status), c.Side.String(), sentence(c.Meaning))
	}
	return p.String()
}

// page is Markdown that is being written.
type page struct{ strings.Builder }

func (p *page) title(title, lead string) {
	p.WriteString("# " + title + "\n\n" + generated)
	p.paragraph(lead)
}

func (p *page) paragraph(text string) {
	if text != "" {
		p.WriteString(text + "\n\n")
	}
}

func (p *page) row(cells ...string) {
	for _, c := range cells {
		p.WriteString("| " + strings.ReplaceAll(c, "|", `\|`) + " ")
	}
	p.WriteString("|\n")
}

// options writes the table of a struct's options. Those below the keys in apart have a page of
// their own.
func (p *page) options(t reflect.Type, with any, apart ...string) {
	decode.Defaults(reflect.ValueOf(with).Elem())
	p.WriteString("| option | type | default | |\n|---|---|---|---|\n")
	p.optionRows(t, "", apart, nil)
	p.WriteString("\n")
}

func (p *page) optionRows(t reflect.Type, prefix string, apart []string, within []reflect.Type) {
	for _, f := range decode.Fields(t) {
		doc, standard := splitDefault(fieldDoc(f))
		if f.Required {
			standard = "required"
		}
		if rest, ok := strings.CutPrefix(doc, f.Key+" "); ok {
			doc = "`" + f.Key + "` " + rest
		}
		inner, suffix := innerStruct(f.Type)
		if inner != nil {
			doc += " " + shortForm.FindString(typeDoc(inner))
		}
		p.row("`"+prefix+f.Key+"`", typeName(f.Type, f.Enum), standard, strings.TrimSpace(doc))
		if inner == nil || slices.Contains(apart, f.Key) || slices.Contains(within, inner) {
			continue
		}
		p.optionRows(inner, prefix+f.Key+suffix+".", nil, append(within, t))
	}
}

// shortForm is the sentence of a struct's comment on its short form.
var shortForm = regexp.MustCompile(`(?:Its short form|Short form)[^.]*\.`)

var defaultSentence = regexp.MustCompile(`\s*\bDefault:? (.+?)(?:\.$|\.\s|, (?:range|at least|above)\s)`)

// splitDefault cuts what a comment says of the default from it.
func splitDefault(doc string) (rest, standard string) {
	m := defaultSentence.FindStringSubmatchIndex(doc + " ")
	if m == nil {
		return doc, ""
	}
	standard = doc[m[2]:m[3]]
	after := strings.TrimSpace(doc[min(m[3]+1, len(doc)):])
	return strings.TrimSpace(doc[:m[0]] + " " + capital(after)), standard
}

// innerStruct returns the struct whose keys stand below a field of type t, nil when none do, and
// what stands between in the option's name.
func innerStruct(t reflect.Type) (inner reflect.Type, suffix string) {
	for {
		switch {
		case t == reflect.TypeFor[core.FilterList]():
			return nil, ""
		case decode.IsMapping(t):
			return t, suffix
		case t.Kind() == reflect.Slice:
			suffix += "[]"
		case t.Kind() == reflect.Map:
			suffix += ".NAME"
		case t.Kind() != reflect.Pointer:
			return nil, ""
		}
		t = t.Elem()
	}
}

// typeName names a type as the reference does.
func typeName(t reflect.Type, enum []string) string {
	switch {
	case t.Kind() == reflect.Pointer:
		return typeName(t.Elem(), enum)
	case t == reflect.TypeFor[core.FilterList]():
		return "filters"
	case scalarKinds[t].name != "":
		return scalarKinds[t].name
	case decode.IsText(t) && decode.IsMapping(t):
		return "string or mapping"
	case decode.IsText(t):
		return "string"
	case t.Kind() == reflect.Struct:
		return "mapping"
	case enum != nil && t.Kind() == reflect.String:
		return "`" + strings.Join(enum, "`, `") + "`"
	}
	switch t.Kind() {
	case reflect.Slice:
		return "list of " + several(typeName(t.Elem(), enum))
	case reflect.Map:
		return "mapping to " + several(typeName(t.Elem(), enum))
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "string"
	case reflect.Interface:
		return "anything"
	case reflect.Float32, reflect.Float64:
		return "number"
	}
	return "whole number"
}

// several puts a type's name into the plural. Values of an enum and filters are in it already.
func several(name string) string {
	if strings.Contains(name, "`") || strings.HasSuffix(name, "s") {
		return name
	}
	return strings.ReplaceAll(name, " or ", "s or ") + "s"
}

// sentence makes one of a phrase.
func sentence(s string) string {
	s = capital(strings.TrimSpace(s))
	if s == "" || strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}
