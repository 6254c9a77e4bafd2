package config_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/core/config"
	"github.com/sluiceproxy/sluice/core/config/internal/fielddoc"
)

func schema(t *testing.T) map[string]any {
	t.Helper()
	text, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// at follows keys into a document, through references to definitions.
func at(t *testing.T, root map[string]any, keys ...string) any {
	t.Helper()
	var here any = root
	for _, key := range keys {
		m, _ := here.(map[string]any)
		here = m[key]
		if m, ok := here.(map[string]any); ok {
			if ref, ok := m["$ref"].(string); ok {
				here = at(t, root, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
			}
		}
		if here == nil {
			t.Fatalf("the schema has no %s of %v", key, keys)
		}
	}
	return here
}

func TestTheSchemaSaysWhatLoadWants(t *testing.T) {
	root := schema(t)
	for _, c := range []struct {
		path []string
		due  string
	}{
		{[]string{"$schema"}, `"https://json-schema.org/draft/2020-12/schema"`},
		{[]string{"required"}, `["listeners"]`},
		{[]string{"additionalProperties"}, `false`},
		{[]string{"properties", "watch", "anyOf"}, `[{"type":"boolean"},{"pattern":"\\$\\{[A-Z_][A-Z0-9_]*(:-[^}]*)?\\}","type":"string"}]`},
		{[]string{"properties", "log", "properties", "format", "anyOf"}, `[{"enum":["text","json"]},{"pattern":"\\$\\{[A-Z_][A-Z0-9_]*(:-[^}]*)?\\}","type":"string"}]`},
		{[]string{"$defs", "filters", "anyOf"}, `[{"$ref":"#/$defs/filter"},{"items":{"$ref":"#/$defs/filter"},"type":"array"}]`},
		{[]string{"$defs", "server.ListenerConfig", "properties", "filters"}, asJSON(at(t, root, "$defs", "filters"))},
	} {
		if got := asJSON(at(t, root, c.path...)); got != c.due {
			t.Errorf("%s is %s\ndue was %s", strings.Join(c.path, "."), got, c.due)
		}
	}
}

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func TestTheSchemaHasEveryFilter(t *testing.T) {
	kinds := at(t, schema(t), "$defs", "filter").(map[string]any)["anyOf"].([]any)[1].(map[string]any)["properties"].(map[string]any)
	counter := kinds["test_counter"].(map[string]any)
	mapping := counter["anyOf"].([]any)[0].(map[string]any)
	var keys []string
	for key := range mapping["properties"].(map[string]any) {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	if due := "[name on_error step when]"; fmt.Sprint(keys) != due || fmt.Sprint(mapping["required"]) != "[step]" || len(counter["anyOf"].([]any)) != 1 {
		t.Errorf("test_counter is %s, due the keys %s, step required, and no short form", asJSON(counter), due)
	}
	if answer := kinds["test_answer"].(map[string]any)["anyOf"].([]any); len(answer) != 3 {
		t.Errorf("test_answer is %s, due a mapping, a short form and nothing at all", asJSON(answer))
	}
}

func TestEveryFieldIsDescribed(t *testing.T) {
	root := schema(t)
	check := func(name string, properties any) {
		for key, property := range properties.(map[string]any) {
			if doc, _ := property.(map[string]any)["description"].(string); doc == "" {
				t.Errorf("%s.%s has no description: give its field a comment and run go generate ./core/config", name, key)
			}
		}
	}
	check("file", root["properties"])
	for name, def := range root["$defs"].(map[string]any) {
		if properties := def.(map[string]any)["properties"]; properties != nil {
			check(name, properties)
		}
	}
}

// TestPatternsAgreeWithTheDecoder loads what the patterns of units take, and what they refuse.
func TestPatternsAgreeWithTheDecoder(t *testing.T) {
	root := schema(t)
	for _, c := range []struct {
		definition, key, config string
		good, bad               []string
	}{
		{"upstream.Timeout", "try", "upstreams: {u: {endpoints: 'a:1', timeout: {try: '%s'}}}",
			[]string{"300ms", "1h30m", "1.5s", "0"}, []string{"5", "s", "5 s", "-1s", "5sec"}},
		{"server.Limits", "head", "upstreams: {u: {endpoints: 'a:1'}}\nlisteners: {web: {address: ':0', limits: {head: '%s'}}}",
			[]string{"64KiB", "1.5 mib", "10kb", "8k", "0", "100B"}, []string{"64", "KiB", "-1KiB", "64 kibi"}},
		{"upstream.Eject", "for", "upstreams: {u: {endpoints: 'a:1', eject: {for: '%s'}}}",
			[]string{"5s..300s", "5s", "1s .. 2s"}, []string{"5..300s", "5s...9s", "5s.."}},
		{"upstream.Config", "panic", "upstreams: {u: {endpoints: 'a:1', panic: '%s'}}",
			[]string{"20%", "0.5%"}, []string{"20", "%", "-1%"}},
	} {
		choice := at(t, root, "$defs", c.definition, "properties", c.key).(map[string]any)["anyOf"].([]any)[0].(map[string]any)
		pattern := regexp.MustCompile(choice["pattern"].(string))
		for i, value := range append(slices.Clone(c.good), c.bad...) {
			text := fmt.Sprintf(c.config, value)
			if !strings.Contains(text, "listeners") {
				text += "\n" + listen
			}
			_, errs := loadText(t, text)
			due := i < len(c.good)
			if loads := errs == ""; loads != due || pattern.MatchString(value) != due {
				t.Errorf("%s.%s: %q loads: %v, matches %s: %v; due both %v\n%s", c.definition, c.key, value, loads, pattern, pattern.MatchString(value), due, errs)
			}
		}
	}
}

func TestFieldDocsAreFresh(t *testing.T) {
	due, err := fielddoc.Collect(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile("fielddocs.json")
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != string(due) {
		t.Error("fielddocs.json is not what the sources say: run go generate ./core/config")
	}
}
