package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/config"
)

// writeFiles writes files into a new folder and returns its name.
func writeFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// loadFiles loads f.yaml of the files. File names in the errors are relative.
func loadFiles(t *testing.T, files map[string]string) (*config.File, string) {
	t.Helper()
	dir := writeFiles(t, files)
	f, err := config.Load(filepath.Join(dir, "f.yaml"))
	if err == nil {
		return f, ""
	}
	var errs config.Errors
	if !errors.As(err, &errs) {
		t.Fatalf("Load returned %q, which is no Errors", err)
	}
	return nil, strings.ReplaceAll(err.Error(), dir+"/", "")
}

func loadText(t *testing.T, text string) (*config.File, string) {
	t.Helper()
	return loadFiles(t, map[string]string{"f.yaml": text})
}

func mustLoad(t *testing.T, files map[string]string) *config.File {
	t.Helper()
	f, errs := loadFiles(t, files)
	if errs != "" {
		t.Fatalf("%v\ngave these errors, none are due:\n%s", files, errs)
	}
	return f
}

// sameErrors compares the lines of errs with those due, of which one that ends in ": " leaves open
// what another package says.
func sameErrors(errs string, due []string) bool {
	return slices.EqualFunc(strings.Split(errs, "\n"), due, func(got, due string) bool {
		return got == due || strings.HasSuffix(due, ": ") && strings.HasPrefix(got, due)
	})
}

// listen is a listeners section of one line.
const listen = "listeners: {web: ':0'}\n"

func TestMistakesBetweenSectionsAreFound(t *testing.T) {
	for _, c := range []struct {
		name, text string
		due        []string
	}{
		{"no listeners", "routes: []", []string{`f.yaml:1:1: the key "listeners" is missing`}},
		{"empty listeners", "listeners: {}", []string{`f.yaml:1:1: there is no listener: add one, such as web: ":8080"`}},
		{"an unknown section", listen + "upstream: {}", []string{`f.yaml:2:1: unknown key "upstream": did you mean "upstreams"?`}},
		{"a key of a route", listen + "routes:\n- {name: shop, mathc: {path: /}}", []string{
			`f.yaml:3:16: routes[0] shop: unknown key "mathc": did you mean "match"?`}},
		{"a dangling upstream", listen + "routes:\n- {name: a, to: shpo}\n- {name: b, to: {split: {shop: 1, sohp: 2}}}\nupstreams: {shop: {endpoints: 'a:1'}}", []string{
			`f.yaml:3:17: routes[0] a.to: unknown upstream "shpo": did you mean "shop"?`,
			`f.yaml:4:35: routes[1] b.to: unknown upstream "sohp": did you mean "shop"?`}},
		{"an unknown listener", listen + "routes: [{name: a, listeners: [web, wbe]}]", []string{
			`f.yaml:2:37: routes[0] a.listeners: unknown listener "wbe": did you mean "web"?`}},
		{"a route's name twice", listen + "routes: [{name: a}, {name: a}]", []string{
			`f.yaml:2:22: routes[1] a: the name "a" is taken by the route at f.yaml:2:11: choose another`}},
		{"a route that is never reached", "listeners: {a: ':0', b: ':0'}\nroutes:\n- name: first\n- {name: second, match: {path: /a}}\n- {name: third, match: {path: '/{x}'}}\n- {name: fourth}", []string{
			`f.yaml:6:3: routes[3] fourth: never reached: route first takes the same host and path ((any host) (any path)) before it`}},
		{"patterns of routes, each", listen + "routes:\n- {name: a, match: {path: '~('}}\n- {name: b, match: {host: '*'}}", []string{
			`f.yaml:3:20: routes[0] a: match.path "~(": `,
			`f.yaml:4:20: routes[1] b: match.host "*": leave host out to match every host`}},
		{"one address twice", "listeners:\n  a: ':8080'\n  b: 127.0.0.1:8080\n  c: 127.0.0.1:0\n  d: 127.0.0.1:0\n  e: {address: 'unix:/a'}\n  f: {address: 'unix:/a'}", []string{
			`f.yaml:3:6: listeners.b: the address 127.0.0.1:8080 is taken by the listener a (:8080) at f.yaml:2:3`,
			`f.yaml:7:16: listeners.f: the address unix:/a is taken by the listener e (unix:/a) at f.yaml:6:3`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, errs := loadText(t, c.text)
			if !sameErrors(errs, c.due) {
				t.Errorf("%s\ngave\n%s\ndue was\n%s", c.text, errs, strings.Join(c.due, "\n"))
			}
		})
	}
}

func TestMistakesInFilterListsAreFound(t *testing.T) {
	for _, c := range []struct {
		name, filters, more string
		due                 []string
	}{
		{"an unknown filter", "[test_anser, {test_countr: {}}, {xyzzyx: {}}]", "", []string{
			`f.yaml:3:23: routes[0] a.filters[0]: unknown filter "test_anser": did you mean "test_answer"?`,
			`f.yaml:3:36: routes[0] a.filters[1]: unknown filter "test_countr": did you mean "test_counter"?`,
			`f.yaml:3:55: routes[0] a.filters[2]: unknown filter "xyzzyx": known are test_answer, test_anywhere, test_counter, test_tracked`}},
		{"a key of the filter", "[{test_counter: {stp: 1}}]", "", []string{
			`f.yaml:3:38: routes[0] a.filters[0].test_counter: the key "step" is missing`,
			`f.yaml:3:39: routes[0] a.filters[0].test_counter: unknown key "stp": did you mean "step"?`}},
		{"a key of every filter", "[{test_counter: {step: 1, on_eror: skip}}]", "", []string{
			`f.yaml:3:48: routes[0] a.filters[0].test_counter: unknown key "on_eror": did you mean "on_error"?`}},
		{"values of the keys of every filter", "[{test_counter: {step: 1, on_error: ignore, when: 'x ==', name: [a]}}]", "", []string{
			`f.yaml:3:58: routes[0] a.filters[0].test_counter.on_error: "ignore" is not a value that it takes: known are fail, skip`,
			`f.yaml:3:72: routes[0] a.filters[0].test_counter.when: `,
			`f.yaml:3:86: routes[0] a.filters[0].test_counter.name: must be a single value, not a list`}},
		{"its own rules", "[{test_answer: ''}]", "", []string{
			`f.yaml:3:37: routes[0] a.filters[0].test_answer: text is empty: write what to answer`}},
		{"a value it does not take", "[{test_counter: 5}, {test_answer: [a]}]", "", []string{
			`f.yaml:3:38: routes[0] a.filters[0].test_counter: must be a mapping, not a single value`,
			`f.yaml:3:56: routes[0] a.filters[1].test_answer: must be a mapping, not a list`}},
		{"keys that are not indented", "\n    - test_answer:\n      text: a", "", []string{
			`f.yaml:6:7: routes[0] a.filters[0]: "text" stands beside "test_answer": a filter is a mapping with one key, indent what belongs to it and give others an item each`}},
		{"no filter at all", "[[a], {}, ~]", "", []string{
			`f.yaml:3:23: routes[0] a.filters[0]: a filter is a name, or a mapping with one key, not a list`,
			`f.yaml:3:28: routes[0] a.filters[1]: a filter is a name, or a mapping with one key: this one has none`,
			`f.yaml:3:32: routes[0] a.filters[2]: a filter is a name, or a mapping with one key, not nothing`}},
		{"a name twice", "[{test_answer: {name: x}}, {test_counter: {name: x, step: 1}}]", "", []string{
			`f.yaml:3:50: routes[0] a.filters[1]: the name "x" is taken by the filter at f.yaml:3:24: choose another`}},
		{"a scope", "[test_anywhere]", "upstreams: {u: {endpoints: 'a:1', filters: {test_counter: {step: 1}}}}", []string{
			`f.yaml:5:45: upstreams.u.filters: test_counter is not for the filters of upstreams: it may stand in those of routes`}},
		{"mistakes in a named filter, once", "[n, n]", "filters: {n: {test_answer: {txt: a}}}", []string{
			`f.yaml:5:29: filters.n.test_answer: unknown key "txt": did you mean "text"?`}},
		{"keys for a named filter", "[{n: {when: 'true'}}]", "filters: {n: test_answer}", []string{
			`f.yaml:3:24: routes[0] a.filters[0]: "n" is a named filter and takes no keys: write the name alone`}},
		{"a name that is a kind", "[]", "filters: {test_answer: test_anywhere}", []string{
			`f.yaml:5:11: filters.test_answer: "test_answer" is the name of a kind of filter: choose another name`}},
		{"a chain within itself", "[]", "filters: {p: [q], q: [test_anywhere, p]}", []string{
			`f.yaml:5:38: filters.q[1]: "p" contains itself: a chain may refer only to others`}},
		{"a name without filter", "[p]", "filters: {p: }", []string{`f.yaml:5:11: filters.p: has no value: a filter or a list of filters is due`}},
		{"filters that are no mapping", "[]", "filters: [test_answer]", []string{`f.yaml:5:10: filters: must be a mapping of names to filters, not a list`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, errs := loadText(t, listen+"routes:\n- {name: a, filters: "+c.filters+"}\n\n"+c.more)
			if strings.HasPrefix(c.filters, "\n") {
				_, errs = loadText(t, listen+"routes:\n- name: a\n  filters:"+c.filters)
			}
			if !sameErrors(errs, c.due) {
				t.Errorf("filters: %s\n%s\ngave\n%s\ndue was\n%s", c.filters, c.more, errs, strings.Join(c.due, "\n"))
			}
		})
	}
}

func TestFilterListsAreDecoded(t *testing.T) {
	f := mustLoad(t, map[string]string{"f.yaml": listen + `
filters:
  tag: {test_answer: {text: tagged, name: tagger}}
  chain: [test_anywhere, tag, inner]
  inner: {test_counter: {step: 2}}
routes:
- name: a
  filters:
  - test_anywhere
  - test_answer: short
  - test_answer: {text: long, when: request_method == "GET", on_error: skip}
  - chain
  - test_answer:
`})
	type link struct {
		name, text string
		when       bool
		onError    core.OnError
	}
	var got []link
	for _, spec := range f.Routes[0].Filters {
		l := link{name: spec.Name, when: spec.When != nil, onError: spec.OnError}
		if c, ok := spec.Config.(*answerConfig); ok {
			l.text = c.Text
		}
		got = append(got, l)
	}
	due := []link{
		{name: "test_anywhere"}, {name: "test_answer", text: "short"},
		{name: "test_answer#2", text: "long", when: true, onError: core.OnErrorSkip},
		{name: "test_anywhere#2"}, {name: "tagger", text: "tagged"}, {name: "test_counter"}, {name: "test_answer#3", text: "hello"},
	}
	if !slices.Equal(got, due) {
		t.Errorf("came %+v\ndue  %+v", got, due)
	}
}

func TestAFiltersHashIsOfItsOwnKeys(t *testing.T) {
	f := mustLoad(t, map[string]string{"f.yaml": listen + `
routes:
- name: a
  filters:
  - test_counter: {step: 1}
  - test_counter: {name: b, step: 1, when: "true"}
  - test_counter: {step: 2}
`})
	list := f.Routes[0].Filters
	if list[0].Hash != list[1].Hash || list[0].Hash == list[2].Hash {
		t.Errorf("the hashes of steps 1, 1 with when, and 2 are %s, %s, %s", list[0].Hash, list[1].Hash, list[2].Hash)
	}
}

func TestEachPlaceOfANamedFilterHasItsOwnConfiguration(t *testing.T) {
	f := mustLoad(t, map[string]string{"f.yaml": listen + "filters: {n: {test_answer: x}}\nroutes: [{name: a, match: {path: /a}, filters: n}, {name: b, filters: n}]"})
	a, b := f.Routes[0].Filters[0].Config, f.Routes[1].Filters[0].Config
	if a == b || *a.(*answerConfig) != *b.(*answerConfig) {
		t.Errorf("the configurations are %p %v and %p %v, due two that are alike", a, a, b, b)
	}
}

func TestIncludedFilesAreMerged(t *testing.T) {
	f := mustLoad(t, map[string]string{
		"f.yaml":        listen + "include: [conf.d/*.yaml, extra.yaml, '*.yaml']\nroutes: {name: first, match: {path: /1}}\nupstreams: {a: {endpoints: 'a:1'}}",
		"conf.d/2.yaml": "routes: [{name: third, to: b}]",
		"conf.d/1.yaml": "routes: [{name: second, match: {path: /2}, to: a, filters: n}]\nupstreams: {b: {endpoints: 'b:1'}}\nfilters: {n: test_answer}",
		"conf.d/3.yaml": "# nothing yet\nroutes:\n",
		"extra.yaml":    "log: {level: debug}\nlisteners: {other: ':0'}",
	})
	var names []string
	for _, r := range f.Routes {
		names = append(names, r.Name)
	}
	if due := []string{"first", "second", "third"}; !slices.Equal(names, due) {
		t.Errorf("the routes are %v, due %v", names, due)
	}
	if len(f.Upstreams) != 2 || len(f.Listeners) != 2 || len(f.Filters) != 1 || f.Log.Level != "debug" {
		t.Errorf("upstreams %v, listeners %v, filters %v, log level %s: due 2, 2, 1, debug", f.Upstreams, f.Listeners, f.Filters, f.Log.Level)
	}
}

func TestMistakesOfIncludesAreFound(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		due   []string
	}{
		{"a name in two files", map[string]string{
			"f.yaml": listen + "include: a.yaml\nupstreams: {u: {endpoints: 'a:1'}}\nroutes: [{name: r, to: u}]",
			"a.yaml": "upstreams:\n  u: {endpoints: 'b:1'}\nroutes: [{name: r}]"}, []string{
			"a.yaml:2:3: upstreams.u: is already given at f.yaml:3:13: choose another name",
			`a.yaml:3:11: routes[1] r: the name "r" is taken by the route at f.yaml:4:11: choose another`}},
		{"a dangling name beside another mistake", map[string]string{
			"f.yaml": listen + "include: a.yaml\nroutes: [{name: r, to: v, mathc: {}}]", "a.yaml": "upstreams: {u: {endpoints: 'a:1'}}"}, []string{
			`f.yaml:3:24: routes[0] r.to: unknown upstream "v": known are u`,
			`f.yaml:3:27: routes[0] r: unknown key "mathc": did you mean "match"?`}},
		{"a route's name in two files", map[string]string{
			"f.yaml": listen + "include: a.yaml\nroutes: [{name: r}]", "a.yaml": "routes: [{name: r}]"}, []string{
			`a.yaml:1:11: routes[1] r: the name "r" is taken by the route at f.yaml:3:11: choose another`}},
		{"a section in two files", map[string]string{
			"f.yaml": listen + "include: a.yaml\nlog: {}", "a.yaml": "log: {}"}, []string{
			"a.yaml:1:1: log: is already given at f.yaml:3:1: it may be in one file only"}},
		{"a missing file", map[string]string{"f.yaml": listen + "include: a.yaml"}, []string{
			"a.yaml: no such file or directory"}},
		{"an include within one", map[string]string{
			"f.yaml": listen + "include: a.yaml", "a.yaml": "include: b.yaml"}, []string{
			"a.yaml:1:1: include: an included file cannot include others: list them in f.yaml"}},
		{"a bad pattern", map[string]string{"f.yaml": listen + "include: '[a'"}, []string{
			`f.yaml:2:10: include: "[a" is not a pattern: write one such as conf.d/*.yaml`}},
		{"mistakes in several files", map[string]string{
			"f.yaml": "listeners: {web: ':0', x}\ninclude: '*.yaml'", "a.yaml": "routes: [{nme: r}]", "b.yaml": "- a"}, []string{
			`f.yaml:1:25: listeners.x: the key "address" is missing`,
			`a.yaml:1:10: routes[0]: the key "name" is missing`,
			`a.yaml:1:11: routes[0]: unknown key "nme": did you mean "name"?`,
			`b.yaml:1:1: an included file must be a mapping, not a list`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, errs := loadFiles(t, c.files)
			got := strings.Split(errs, "\n")
			slices.Sort(got)
			slices.Sort(c.due)
			if !slices.Equal(got, c.due) {
				t.Errorf("%v\ngave\n%s\ndue was\n%s", c.files, strings.Join(got, "\n"), strings.Join(c.due, "\n"))
			}
		})
	}
}

func TestAMissingFileIsSaidPlainly(t *testing.T) {
	_, err := config.Load("nowhere/f.yaml")
	if due := "nowhere/f.yaml: no such file or directory"; err == nil || err.Error() != due {
		t.Errorf("Load returned %v, due %s", err, due)
	}
}

func TestWhatIsNotUsedIsAWarning(t *testing.T) {
	f := mustLoad(t, map[string]string{"f.yaml": listen + `
filters: {used: test_anywhere, idle: test_anywhere, mentions: {test_answer: by_filter}}
routes: [{name: a, to: by_route, filters: used}]
upstreams: {by_route: {endpoints: 'a:1'}, by_filter: {endpoints: 'a:1'}, spare: {endpoints: 'a:1'}}
`})
	var got []string
	for _, w := range f.Warnings {
		got = append(got, w.Path+": "+w.Msg)
	}
	due := []string{"filters.idle: no filters list refers to it", "filters.mentions: no filters list refers to it", "upstreams.spare: no route refers to it"}
	if !slices.Equal(got, due) {
		t.Errorf("the warnings are %q, due %q", got, due)
	}
}

func TestDefaultsOfTheTopLevel(t *testing.T) {
	f := mustLoad(t, map[string]string{"f.yaml": listen})
	if !f.Watch || f.Shutdown.Drain.String() != "30s" || f.Log != (config.Log{Level: "info", Format: "text", File: "stderr"}) || f.Admin != nil {
		t.Errorf("watch %v, drain %s, log %+v, admin %v: due true, 30s, info text stderr, none", f.Watch, f.Shutdown.Drain, f.Log, f.Admin)
	}
}
