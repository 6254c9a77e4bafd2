package http1_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/http1"
)

// seeds returns the bytes of the wire corpus's cases.
func seeds(f *testing.F, field string) (out []string) {
	raw, err := os.ReadFile("../../testdata/wire/corpus.json")
	if err != nil {
		f.Fatal(err)
	}
	var corpus struct {
		Cases []map[string]any `json:"cases"`
	}
	if err := json.Unmarshal(raw, &corpus); err != nil {
		f.Fatal(err)
	}
	for _, c := range corpus.Cases {
		s, ok := c[field].(string)
		if !ok || strings.Contains(s, "{{rep") || s == "" {
			continue
		}
		b := make([]byte, 0, len(s))
		for _, r := range s {
			b = append(b, byte(r))
		}
		out = append(out, string(b))
	}
	return out
}

// A request that is taken is written so that it reads the same again, and only once.
func FuzzRequestHead(f *testing.F) {
	for _, s := range seeds(f, "bytes") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, wire string) {
		head, ok := headOf(wire)
		if !ok {
			return
		}
		var a, b core.Request
		m, err := http1.ParseRequest(head, &a, &limits)
		if err != nil {
			return
		}
		out := string(http1.AppendRequest(nil, &a, m.Length))
		again, ok := headOf(out)
		if !ok || again != out {
			t.Fatalf("read %q, wrote %q, which is not one head", head, out)
		}
		m2, err := http1.ParseRequest(again, &b, &http1.Limits{})
		if err != nil {
			t.Fatalf("read %q, wrote %q: %v", head, out, err)
		}
		if a.Method != b.Method || a.Authority != b.Authority || m.Length != m2.Length ||
			string(a.AppendTarget(nil)) != string(b.AppendTarget(nil)) || a.Path() != b.Path() {
			t.Fatalf("read %q, wrote %q, which reads differently", head, out)
		}
	})
}

// However a chunked body arrives, it decodes to the same bytes or fails.
func FuzzChunked(f *testing.F) {
	for _, s := range seeds(f, "bytes") {
		if _, body, ok := strings.Cut(s, "\r\n\r\n"); ok && body != "" {
			f.Add(body, 3)
		}
	}
	f.Fuzz(func(t *testing.T, wire string, step int) {
		whole := decode(wire, http1.Chunked, 1<<20)
		parts := decode(wire, http1.Chunked, 1+step&31)
		if whole.body != parts.body && whole.err == nil || (whole.err == nil) != (parts.err == nil) {
			t.Fatalf("%q: whole %q %v, in parts %q %v", wire, whole.body, whole.err, parts.body, parts.err)
		}
		if whole.err == nil && whole.rest != parts.rest {
			t.Fatalf("%q: whole leaves %q, in parts %q", wire, whole.rest, parts.rest)
		}
	})
}

// A response that is taken is written so that it reads the same again.
func FuzzResponseHead(f *testing.F) {
	for _, s := range seeds(f, "origin_response") {
		f.Add(s, "GET")
	}
	f.Fuzz(func(t *testing.T, wire, method string) {
		head, ok := headOf(wire)
		if !ok {
			return
		}
		var a, b core.Response
		m, err := http1.ParseResponse(head, method, &a, &limits)
		if err != nil {
			return
		}
		fr := http1.ResponseFraming{Length: m.Length, KeepAlive: m.KeepAlive, ClientProto: core.HTTP11}
		if http1.NoBody(method, a.Status) {
			fr.Length = http1.NoLength
		}
		out := string(http1.AppendResponse(nil, &a, fr))
		again, ok := headOf(out)
		if !ok || again != out {
			t.Fatalf("read %q, wrote %q, which is not one head", head, out)
		}
		m2, err := http1.ParseResponse(again, method, &b, &http1.Limits{})
		if err != nil || a.Status != b.Status || m.Length != m2.Length {
			t.Fatalf("read %q, wrote %q: %+v, %v", head, out, m2, err)
		}
	})
}

func headOf(wire string) (string, bool) {
	var rd http1.Reader
	rd.Reset(&source{rest: wire, step: 1 << 20})
	if wire == "" || rd.Fill() != nil {
		return "", false
	}
	head, ok, err := rd.Head(32 << 10)
	return head, ok && err == nil
}
