package decode_test

import (
	"errors"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/config/decode"
)

// sample has a field of every kind that a configuration struct may have.
type sample struct {
	Name    string            `yaml:"name"`
	Mode    string            `yaml:"mode" enum:"specific,listed"`
	Count   int               `yaml:"count"`
	Small   int8              `yaml:"small"`
	Size    uint              `yaml:"size"`
	Share   float64           `yaml:"share"`
	On      bool              `yaml:"on"`
	Wait    core.Duration     `yaml:"wait"`
	Limit   *core.Size        `yaml:"limit"`
	Tags    []string          `yaml:"tags"`
	Modes   []string          `yaml:"modes" enum:"a,b"`
	Labels  map[string]string `yaml:"labels"`
	Codes   map[int]string    `yaml:"codes"`
	Allow   []netip.Prefix    `yaml:"allow"`
	Peer    netip.Addr        `yaml:"peer"`
	Inner   inner             `yaml:"inner"`
	Pointer *inner            `yaml:"pointer"`
	Inners  []inner           `yaml:"inners"`
	ByName  map[string]*inner `yaml:"by_name"`
	Free    any               `yaml:"free"`
	Loose   map[string]*Loose `yaml:"loose"`
	Common  `yaml:",inline"`

	NoKey int
}

// Loose has no mandatory key.
type Loose struct {
	A string `yaml:"a"`
}

func (l *Loose) Defaults() { l.A = "c" }

// Common is inlined.
type Common struct {
	Shared string `yaml:"shared"`
}

// inner has a short form, a default, a mandatory key and a rule.
type inner struct {
	Address string        `yaml:"address,required"`
	Wait    core.Duration `yaml:"wait"`
	Low     int           `yaml:"low"`
	High    int           `yaml:"high"`
}

func (i *inner) Defaults() { i.Wait, i.High = core.Duration(time.Second), 10 }

func (i *inner) UnmarshalText(text []byte) error {
	if !strings.Contains(string(text), ":") {
		return errors.New("no port:\n  write host:port")
	}
	i.Address = string(text)
	return nil
}

func (i *inner) Validate() error {
	var errs []error
	if i.Low > i.High {
		errs = append(errs, errors.New("low is above high"))
	}
	if i.Low < 0 {
		errs = append(errs, errors.New("low is below zero"))
	}
	return errors.Join(errs...)
}

func environment(name string) (string, bool) {
	value, ok := map[string]string{"HOST": "example.com", "EMPTY": "", "TRICKY": "a: [b, *c]\n- d"}[name]
	return value, ok
}

// decodeText returns what text says and every mistake in it, a line each.
func decodeText(text string) (sample, string) {
	var s sample
	n, errs := decode.Parse("f.yaml", []byte(text), environment)
	if n == nil {
		return s, errs.Error()
	}
	d := decode.Decoder{Errors: errs}
	d.Decode(n, nil, &s)
	d.Errors.Sort()
	return s, d.Errors.Error()
}

func size(n core.Size) *core.Size { return &n }

func TestEveryKindOfValueIsDecoded(t *testing.T) {
	second := core.Duration(time.Second)
	defaults := inner{Wait: second, High: 10}
	at := func(address string) inner { return inner{Address: address, Wait: second, High: 10} }
	pointer := at("b:1")
	for _, c := range []struct {
		name, text string
		due        sample
	}{
		{"text", "name: shop", sample{Name: "shop"}},
		{"a number where text is due", "name: 08080", sample{Name: "08080"}},
		{"true where text is due", "name: true", sample{Name: "true"}},
		{"a date where text is due", "name: 2024-01-02", sample{Name: "2024-01-02"}},
		{"quoted null is text", `name: "null"`, sample{Name: "null"}},
		{"block text", "name: |\n  a\n  \tb\n", sample{Name: "a\n\tb\n"}},
		{"one of several values", "mode: listed", sample{Mode: "listed"}},
		{"whole numbers", "{count: -3, small: 127, size: 7}", sample{Count: -3, Small: 127, Size: 7}},
		{"a quoted number", `count: "5"`, sample{Count: 5}},
		{"a number", "share: 1e-3", sample{Share: 0.001}},
		{"true", "on: true", sample{On: true}},
		{"units", "{wait: 1m30s, limit: 64KiB}", sample{Wait: core.Duration(90 * time.Second), Limit: size(65536)}},
		{"a pointer without value is not given", "limit:", sample{}},
		{"a list", "tags: [a, 2]", sample{Tags: []string{"a", "2"}}},
		{"a single value for a list", "tags: a", sample{Tags: []string{"a"}}},
		{"an empty list", "tags: []", sample{Tags: []string{}}},
		{"values of a list", "modes: [a, b]", sample{Modes: []string{"a", "b"}}},
		{"a mapping", "labels: {a: 1, b: x}", sample{Labels: map[string]string{"a": "1", "b": "x"}}},
		{"a mapping by number", "codes: {404: gone}", sample{Codes: map[int]string{404: "gone"}}},
		{"networks", "allow: 10.0.0.0/8", sample{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}},
		{"a struct", "inner: {address: 'a:1', wait: 2s}",
			sample{Inner: inner{Address: "a:1", Wait: 2 * second, High: 10}}},
		{"a struct's short form", "inner: a:1", sample{Inner: at("a:1")}},
		{"a pointer's short form", "pointer: b:1", sample{Pointer: &pointer}},
		{"a list of structs", "inners: ['a:1', {address: 'b:1'}]", sample{Inners: []inner{at("a:1"), at("b:1")}}},
		{"a single struct for a list", "inners: {address: 'b:1'}", sample{Inners: []inner{at("b:1")}}},
		{"a mapping of structs", "by_name: {x: 'b:1'}", sample{ByName: map[string]*inner{"x": &pointer}}},
		{"an entry without value is all defaults", "loose: {x: , y: {a: b}}", sample{Loose: map[string]*Loose{"x": {A: "c"}, "y": {A: "b"}}}},
		{"inlined keys", "shared: a", sample{Common: Common{Shared: "a"}}},
		{"anything", "free: {a: [1, 1.5, true, x, '1', null, 0x10, .inf]}",
			sample{Free: map[string]any{"a": []any{int64(1), 1.5, true, "x", "1", nil, "0x10", ".inf"}}}},
		{"an alias", "labels: &l {a: b}\nby_name:\n  x: {address: &a 'b:1'}\nname: *a",
			sample{Name: "b:1", Labels: map[string]string{"a": "b"}, ByName: map[string]*inner{"x": &pointer}}},
		{"a merge key", "free: &f {a: 1, b: 2}\nlabels: {<<: *f, b: 3}",
			sample{Free: map[string]any{"a": int64(1), "b": int64(2)}, Labels: map[string]string{"a": "1", "b": "3"}}},
		{"the first of several merge keys counts", "free: [&x {a: 1}, &y {a: 2, b: 2}]\nlabels: {<<: [*x, *y]}",
			sample{Free: []any{map[string]any{"a": int64(1)}, map[string]any{"a": int64(2), "b": int64(2)}},
				Labels: map[string]string{"a": "1", "b": "2"}}},
		{"an environment variable", "name: 'http://${HOST}/'", sample{Name: "http://example.com/"}},
		{"a default for one that is not set", "name: ${NONE:-a:-b}", sample{Name: "a:-b"}},
		{"a default for one that is empty", "name: ${EMPTY:-x}", sample{Name: "x"}},
		{"an empty default", "name: ${NONE:-}", sample{Name: ""}},
		{"a variable cannot break the structure", "name: ${TRICKY}", sample{Name: "a: [b, *c]\n- d"}},
		{"templates are left", "name: $host ${host} ${http_x} ${1} $HOST ${", sample{Name: "$host ${host} ${http_x} ${1} $HOST ${"}},
		{"an escaped dollar is left", "name: $${HOST} $$${HOST}", sample{Name: "$${HOST} $$example.com"}},
		{"keys are left", "labels: {'${HOST}': a}", sample{Labels: map[string]string{"${HOST}": "a"}}},
		{"byte order mark", "\ufeffname: a", sample{Name: "a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			due := c.due
			if due.Inner == (inner{}) {
				due.Inner = defaults
			}
			got, errs := decodeText(c.text)
			if errs != "" {
				t.Fatalf("%s\ngave these errors, none are due:\n%s", c.text, errs)
			}
			if !reflect.DeepEqual(got, due) {
				t.Errorf("%s\ncame as %+v\ndue was %+v", c.text, got, due)
			}
		})
	}
}

func TestEveryMistakeIsOneClearSentence(t *testing.T) {
	for _, c := range []struct {
		name, text string
		due        []string
	}{
		{"an unknown key with a near one", "\n  coutn: 1", []string{`f.yaml:2:3: unknown key "coutn": did you mean "count"?`}},
		{"an unknown key with none near", "inner: {address: 'a:1', colour: red}",
			[]string{`f.yaml:1:25: inner: unknown key "colour": known are address, wait, low, high`}},
		{"several mistakes", "count: x\non: yes\ninner: {}\n", []string{
			`f.yaml:1:8: count: "x" is not a whole number`,
			`f.yaml:2:5: on: "yes" is not true or false`,
			`f.yaml:3:8: inner: the key "address" is missing`}},
		{"the path shows names and numbers", "by_name: {shop: {address: 'a:1', wait: 5}}\ninners:\n- {address: 'a:1', low: x}",
			[]string{`f.yaml:1:40: by_name.shop.wait: "5" has no unit: write 5s or 5ms`,
				`f.yaml:3:25: inners[0].low: "x" is not a whole number`}},
		{"a number out of range", "{small: 128, size: -1, share: .inf}", []string{
			`f.yaml:1:9: small: 128 is out of range`,
			`f.yaml:1:20: size: "-1" is not a whole number`,
			`f.yaml:1:31: share: ".inf" is not a number`}},
		{"a list where a value is due", "{name: [a], wait: [1s], peer: {a: b}}", []string{
			`f.yaml:1:8: name: must be a single value, not a list`,
			`f.yaml:1:19: wait: must be a single value, not a list`,
			`f.yaml:1:31: peer: must be a single value, not a mapping`}},
		{"a value where a mapping is due", "{labels: x, inner: [x]}", []string{
			`f.yaml:1:10: labels: must be a mapping, not a single value`,
			`f.yaml:1:20: inner: must be a mapping, not a list`}},
		{"nothing where a value is due", "{name: , count: ~, inner: {address: null}}", []string{
			`f.yaml:1:8: name: has no value: a single value is due`,
			`f.yaml:1:17: count: has no value: a single value is due`,
			`f.yaml:1:28: inner: the key "address" has no value`}},
		{"a value that is none of several", "{mode: lsited, modes: [a, zz]}", []string{
			`f.yaml:1:8: mode: "lsited" is not a value that it takes: did you mean "listed"?`,
			`f.yaml:1:27: modes[1]: "zz" is not a value that it takes: known are a, b`}},
		{"types of the standard library", "{allow: 10.0.0.0/99, peer: x}", []string{
			`f.yaml:1:9: allow: "10.0.0.0/99" is not a network: write one such as 10.0.0.0/8 or fd00::/8`,
			`f.yaml:1:28: peer: "x" is not an IP address: write one such as 10.0.0.1 or fd00::1`}},
		{"a short form, in one line", "inner: a", []string{`f.yaml:1:8: inner: no port: write host:port`}},
		{"rules of a struct, each", "inner: {address: 'a:1', low: -1, high: -2}", []string{
			`f.yaml:1:8: inner: low is above high`, `f.yaml:1:8: inner: low is below zero`}},
		{"a key by number", "codes: {x: y}", []string{`f.yaml:1:9: codes.x: "x" is not a whole number`}},
		{"a key twice", "name: a\ncount: 1\nname: b", []string{`f.yaml:3:1: the key "name" is given twice, first in line 1`}},
		{"a key that is no text", "? [a]\n: b\n", []string{`f.yaml:1:3: a key must be plain text`}},
		{"a tag", "name: !!binary aGk=", []string{`f.yaml:1:7: name: the tag "!!binary" is not understood: leave it away`}},
		{"an anchor in itself", "free: &a {x: *a}", []string{
			`f.yaml:1:14: free.x.x: the alias *a stands within what it stands for`}},
		{"an alias without anchor", "name: *a", []string{`f.yaml: not valid YAML: unknown anchor 'a' referenced`}},
		{"a merge of no mapping", "labels: {<<: x}", []string{`f.yaml:1:14: labels: << takes a mapping or a list of mappings, not a single value`}},
		{"an unset environment variable", "name: ${NONE}", []string{
			`f.yaml:1:7: name: the environment variable NONE is not set: set it, or write a default as in ${NONE:-value}`}},
		{"an item without value", "inners:\n-\nby_name: {'a b': }", []string{
			`f.yaml:2:2: inners[0]: the key "address" is missing`,
			`f.yaml:3:18: by_name."a b": the key "address" is missing`}},
		{"a tab", "inner:\n\taddress: a", []string{`f.yaml:2:1: a tab in the indentation: YAML allows only spaces`}},
		{"a second document", "name: a\n---\nname: b\n", []string{
			`f.yaml:2:1: a second document begins here: a configuration is one document, use include for more files`}},
		{"an empty file", "# nothing\n", []string{`f.yaml: the file is empty`}},
		{"a list for the whole", "- a", []string{`f.yaml:1:1: must be a mapping, not a list`}},
		{"bytes that are no text", "name: a\nx: \xff", []string{`f.yaml:2:4: the file is not UTF-8 text`}},
		{"what is no YAML", "name: [a", []string{`f.yaml:1:1: not valid YAML: did not find expected ',' or ']'`}},
		{"nested too deep", "free: " + strings.Repeat("[", 101) + strings.Repeat("]", 101), []string{
			`f.yaml:1:107: free` + strings.Repeat("[0]", 100) + `: lists and mappings are nested more than 100 deep`}},
		{"too large", "name: " + strings.Repeat("a", decode.MaxBytes), []string{
			`f.yaml: the file has 4194310 bytes, 4194304 are allowed: split it with include`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, errs := decodeText(c.text)
			if due := strings.Join(c.due, "\n"); errs != due {
				t.Errorf("%.200s\ngave\n%s\ndue was\n%s", c.text, errs, due)
			}
		})
	}
}

func TestAnAliasBombIsRefused(t *testing.T) {
	text := "free:\n- &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 9 {
		name, before := string(rune('1'+i)), string(rune('0'+i))
		text += "- &a" + name + " [*a" + before + strings.Repeat(", *a"+before, 9) + "]\n"
	}
	_, errs := decodeText(text)
	if due := "more than 1000000 values, aliases counted each time"; !strings.Contains(errs, due) || strings.Count(errs, "\n") > 0 {
		t.Errorf("%s\ngave\n%s\ndue was one error with %q", text, errs, due)
	}
}

func TestAHashIsOfWhatIsSaidNotOfHow(t *testing.T) {
	hash := func(text string) string {
		n, errs := decode.Parse("f", []byte(text), os.LookupEnv)
		if len(errs) > 0 {
			t.Fatalf("%s: %v", text, errs)
		}
		return n.Hash()
	}
	base := hash("{a: 1, b: [x, y]}")
	for _, same := range []string{"# comment\nb:\n- 'x'\n- y\na: 1\n", "{b: [&x x, y], a: \"1\"}"} {
		if got := hash(same); got != base {
			t.Errorf("%s has the hash %s, due %s", same, got, base)
		}
	}
	for _, other := range []string{"{a: 1, b: [y, x]}", "{a: 1, b: [xy]}", "{a: 1, b: [x, y], c: }", "{a: 1, b: {x: y}}", "{a: , b: [x, y]}"} {
		if got := hash(other); got == base {
			t.Errorf("%s has the hash of {a: 1, b: [x, y]}", other)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		"name: ${HOST:-x}\ninner: {address: 'a:1'}", "inners: [a:1, {low: 1}]", "a: &a [*a]", "<<: {name: x}", "- a\n---\n- b",
		"free: !!float x", "? [a]\n: b", "labels: {<<: [{a: b}]}", "\tname: a", "wait: 5", "codes: {1: a, x: b}", "%YAML 1.2\n---\nname: |2-\n   a", "a: !%0a: E",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, errs := decode.Parse("f.yaml", []byte(text), environment)
		if n == nil {
			if len(errs) == 0 {
				t.Fatalf("%q gave neither a value nor an error", text)
			}
			return
		}
		d := decode.Decoder{Errors: errs}
		var s sample
		d.Decode(n, nil, &s)
		for _, e := range d.Errors {
			if strings.Contains(e.Msg, "\n") || strings.Contains(e.Msg, "decode_test.") || e.Msg == "" || e.Pos.File != "f.yaml" {
				t.Errorf("%q gave the error %q", text, e)
			}
		}
	})
}
