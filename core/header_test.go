package core_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/sluiceproxy/sluice/core"
)

func header(fields ...string) *core.Header {
	h := new(core.Header)
	for i := 0; i+1 < len(fields); i += 2 {
		h.Add(fields[i], fields[i+1])
	}
	return h
}

func text(h *core.Header) string {
	s := ""
	for _, f := range h.Fields() {
		s += f.Name + ":" + f.Value + ";"
	}
	return s
}

func TestAHeaderKeepsOrderCaseAndRepeats(t *testing.T) {
	h := header("X-b", "1", "x-A", "2", "X-B", "3")
	if got, due := text(h), "X-b:1;x-A:2;X-B:3;"; got != due {
		t.Errorf("fields %q, due %q", got, due)
	}
	if got := slices.Collect(h.Values("x-b")); !slices.Equal(got, []string{"1", "3"}) {
		t.Errorf("values of x-b %q, due 1 and 3", got)
	}
	if got := h.Get("X-a"); got != "2" {
		t.Errorf("X-a %q, due 2", got)
	}
	if v, ok := h.Lookup("x-c"); ok || h.Has("x-c") {
		t.Errorf("x-c %q, due none", v)
	}
	for v := range h.Values("x-b") {
		if v != "1" {
			t.Errorf("a loop that ended saw %q", v)
		}
		break
	}
}

func TestHeaderChanges(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(h *core.Header)
		due    string
	}{
		{"set replaces the first and removes the rest", func(h *core.Header) { h.Set("a", "9") }, "A:9;B:2;C:4;"},
		{"set of a new name appends", func(h *core.Header) { h.Set("d", "9") }, "A:1;B:2;a:3;C:4;d:9;"},
		{"del removes every spelling", func(h *core.Header) { h.Del("a") }, "B:2;C:4;"},
		{"del of no name changes nothing", func(h *core.Header) { h.Del("") }, "A:1;B:2;a:3;C:4;"},
		{"delfunc removes what it is true of",
			func(h *core.Header) { h.DelFunc(func(f core.Field) bool { return f.Value >= "3" }) }, "A:1;B:2;"},
		{"reset removes all", func(h *core.Header) { h.Reset() }, ""},
		{"copy replaces all", func(h *core.Header) { h.CopyFrom(header("X", "1")) }, "X:1;"},
		{"a line's end in a value becomes a space", func(h *core.Header) { h.Set("b", "x\r\nEvil: 1\x00") }, "A:1;B:x  Evil: 1 ;a:3;C:4;"},
	} {
		h := header("A", "1", "B", "2", "a", "3", "C", "4")
		c.change(h)
		if got := text(h); got != c.due {
			t.Errorf("%s: %q, due %q", c.name, got, c.due)
		}
	}
}

func TestRepeatsAreJoinedByCommasButCookiesBySemicolons(t *testing.T) {
	h := header("Via", "a", "Cookie", "x=1", "via", "b", "cookie", "y=2", "One", "1")
	for name, due := range map[string]string{"via": "a, b", "Cookie": "x=1; y=2", "one": "1", "none": ""} {
		if got := h.Joined(name); got != due {
			t.Errorf("%s joined %q, due %q", name, got, due)
		}
	}
}

func TestNamesFoldASCIIOnly(t *testing.T) {
	for _, c := range []struct {
		a, b string
		due  bool
	}{
		{"Host", "hOST", true}, {"Host", "Hos", false}, {"", "", true}, {"a-b", "a_b", false},
		{"[", "{", false}, {"@", "`", false}, // 32 apart, but no letters
		{"k", "\u212a", false}, // the Kelvin sign folds to k in Unicode
	} {
		if got := core.EqualFold(c.a, c.b); got != c.due {
			t.Errorf("EqualFold(%q, %q) = %v, due %v", c.a, c.b, got, c.due)
		}
	}
}

func TestTokensOfAList(t *testing.T) {
	for _, c := range []struct {
		value, token string
		due          bool
	}{
		{"close", "close", true}, {"keep-alive, Close", "close", true}, {" \tupgrade\t ,x", "Upgrade", true},
		{"closed", "close", false}, {"", "close", false}, {",,close", "close", true}, {"x;close", "close", false},
	} {
		if got := core.HasToken(c.value, c.token); got != c.due {
			t.Errorf("HasToken(%q, %q) = %v, due %v", c.value, c.token, got, c.due)
		}
	}
}

func BenchmarkHeaderLookup(b *testing.B) {
	h := new(core.Header)
	for i := range 20 {
		h.Add(fmt.Sprintf("X-Field-%02d", i), "v")
	}
	b.ReportAllocs()
	for b.Loop() {
		if v, _ := h.Lookup("x-field-15"); v != "v" {
			b.Fatal(v)
		}
	}
}
