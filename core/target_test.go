package core_test

import (
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/core"
)

func TestPathsAreDecodedForMatchingAndSettledForForwarding(t *testing.T) {
	for _, c := range []struct{ received, forwarded, path string }{
		{"/", "/", "/"},
		{"/a/b", "/a/b", "/a/b"},
		{"/a%20b", "/a%20b", "/a b"},
		{"/%7euser", "/%7euser", "/~user"},
		{"/a/../b", "/b", "/b"},
		{"/a/%2e%2e/b", "/b", "/b"},
		{"/a/%2E./b", "/b", "/b"},
		{"/a/./b", "/a/b", "/a/b"},
		{"/a/b/..", "/a/", "/a/"},
		{"/a/b/.", "/a/b/", "/a/b/"},
		{"/a//b", "/a/b", "/a/b"},
		{"//", "/", "/"},
		{"//a", "/a", "/a"},
		{"/a/", "/a/", "/a/"},
		{"/a//", "/a/", "/a/"},
		{"/..", "/", "/"},
		{"/../..", "/", "/"},
		{"/../../etc/passwd", "/etc/passwd", "/etc/passwd"},
		{"/a/../../b", "/b", "/b"},
		{"/...", "/...", "/..."},
		{"/.a/..b", "/.a/..b", "/.a/..b"},
		{"/a.", "/a.", "/a."},
		{"/a%2Fb", "/a%2Fb", "/a%2Fb"},
		{"/a%2fb", "/a%2fb", "/a%2fb"},
		{"/a%5cb", "/a%5cb", "/a%5cb"},
		{"/a/..%2f..%2fb", "/a/..%2f..%2fb", "/a/..%2f..%2fb"},
		{"/a/%252e%252e/b", "/a/%252e%252e/b", "/a/%252e%252e/b"},
		{"/a/%252e%252e/../b", "/a/b", "/a/b"},
		{"/%25", "/%25", "/%25"},
		{"/a%zz%4", "/a%zz%4", "/a%zz%4"},
		{"//a%3fb%23c", "/a%3Fb%23c", "/a?b#c"},
		{"//%00", "/%00", "/\x00"},
		{"//%e2%82%ac", "/%E2%82%AC", "/€"},
		{"*", "*", "*"},
		{"", "", ""},
	} {
		var r core.Request
		r.SetReceived(c.received, c.received)
		if r.RawPath() != c.forwarded || r.Path() != c.path || r.Received() != c.received {
			t.Errorf("received %q: forwarded %q path %q, due %q and %q", c.received, r.RawPath(), r.Path(), c.forwarded, c.path)
		}
	}
}

func TestAPathThatWasSettledOnceIsSettled(t *testing.T) {
	pieces := []string{"", "a", ".", "..", "%2e", "%2E%2e", "%2f", "%252e", "...", "%zz", "%", " ", "%00", "é", "%5c"}
	var paths []string
	for _, a := range pieces {
		for _, b := range pieces {
			for _, c := range pieces {
				paths = append(paths, "/"+a+"/"+b+"/"+c)
			}
		}
	}
	for _, p := range paths {
		var once, twice core.Request
		once.SetReceived(p, p)
		twice.SetReceived(once.RawPath(), once.RawPath())
		if twice.RawPath() != once.RawPath() || twice.Path() != once.Path() {
			t.Errorf("%q: settled %q (%q), then %q (%q)", p, once.RawPath(), once.Path(), twice.RawPath(), twice.Path())
		}
		for segment := range strings.SplitSeq(once.Path()[1:], "/") {
			if segment == "." || segment == ".." {
				t.Errorf("%q: a dot segment is left in %q", p, once.Path())
			}
		}
	}
}

func TestTheQueryIsForwardedAsItCame(t *testing.T) {
	for _, c := range []struct {
		target, path, query string
		has                 bool
	}{
		{"/a?b=c", "/a", "b=c", true}, {"/a?", "/a", "", true}, {"/a", "/a", "", false},
		{"/a?b?c=%2e../d//", "/a", "b?c=%2e../d//", true},
	} {
		var r core.Request
		r.SetReceived(c.target, c.target)
		if r.RawPath() != c.path || r.Query() != c.query || r.HasQuery() != c.has {
			t.Errorf("%q: path %q query %q %v, due %q %q %v", c.target, r.RawPath(), r.Query(), r.HasQuery(), c.path, c.query, c.has)
		}
		if got := string(r.AppendTarget(nil)); got != c.target {
			t.Errorf("%q: forwarded %q", c.target, got)
		}
	}
}

func TestAChangedPathIsDecodedAnew(t *testing.T) {
	var r core.Request
	r.SetTarget("/a%20b?x")
	if r.Path() != "/a b" {
		t.Fatalf("path %q, due \"/a b\"", r.Path())
	}
	r.SetPath("/c%41")
	r.SetQuery("")
	if got := string(r.AppendTarget(nil)); r.Path() != "/cA" || got != "/c%41" {
		t.Errorf("path %q target %q, due /cA and /c%%41", r.Path(), got)
	}
}

func TestEscapePathEscapesWhatAPathMayNotHold(t *testing.T) {
	for in, due := range map[string]string{
		"/a-b_c.d~e!$&'()*+,;=:@/": "/a-b_c.d~e!$&'()*+,;=:@/",
		"/a b?c#d":                 "/a%20b%3Fc%23d",
		"/é\r\n\x00\x7f":           "/%C3%A9%0D%0A%00%7F",
		"/%41%zz%":                 "/%41%25zz%25",
		`/\"<>[]^{|}`:              "/%5C%22%3C%3E%5B%5D%5E%7B%7C%7D",
	} {
		if got := core.EscapePath(in); got != due {
			t.Errorf("EscapePath(%q) = %q, due %q", in, got, due)
		}
	}
}

func TestTheHostIsWithoutPortAndInLowerCase(t *testing.T) {
	var r core.Request
	for authority, due := range map[string]string{
		"Example.COM": "example.com", "example.com:80": "example.com", "example.com.": "example.com", "EXAMPLE.com.:80": "example.com",
		"[::1]:80": "[::1]", "[FE80::1]": "[fe80::1]", "10.0.0.1:1": "10.0.0.1", "": "", "[": "[",
	} {
		r.Authority = authority
		if got := r.Host(); got != due {
			t.Errorf("host of %q: %q, due %q", authority, got, due)
		}
	}
}

func TestQueryArguments(t *testing.T) {
	var r core.Request
	r.SetTarget("/?a=1&b=x%20y+z&a=2&flag&%63=3&empty=&bad=%zz&=noname")
	for name, due := range map[string]string{"a": "1", "b": "x y z", "flag": "", "c": "3", "empty": "", "bad": "%zz", "": "noname"} {
		if got, ok := r.Arg(name); got != due || !ok {
			t.Errorf("argument %q: %q %v, due %q", name, got, ok, due)
		}
	}
	for _, name := range []string{"A", "d", "fla"} {
		if got, ok := r.Arg(name); ok {
			t.Errorf("argument %q: %q, due none", name, got)
		}
	}
}

func TestCookies(t *testing.T) {
	var r core.Request
	r.Header.Add("Cookie", "a=1; b=x=y;c=3 ; novalue; a=2")
	r.Header.Add("cookie", "d=4")
	for name, due := range map[string]string{"a": "1", "b": "x=y", "c": "3", "d": "4"} {
		if got, ok := r.Cookie(name); got != due || !ok {
			t.Errorf("cookie %q: %q %v, due %q", name, got, ok, due)
		}
	}
	for _, name := range []string{"A", "novalue", "e"} {
		if got, ok := r.Cookie(name); ok {
			t.Errorf("cookie %q: %q, due none", name, got)
		}
	}
}

func FuzzSettledPathsHoldNoDotSegment(f *testing.F) {
	for _, seed := range []string{"/a/%2e%2e/b", "//", "/%2F", "/%252e", "/..", "*", "/%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if !strings.HasPrefix(path, "/") || strings.ContainsRune(path, '?') {
			return
		}
		var r core.Request
		r.SetReceived(path, path)
		for _, p := range []string{r.RawPath(), r.Path()} {
			for segment := range strings.SplitSeq(p[1:], "/") {
				if segment == "." || segment == ".." {
					t.Errorf("%q: a dot segment is left in %q", path, p)
				}
			}
		}
	})
}

func BenchmarkPath(b *testing.B) {
	for name, target := range map[string]string{"plain": "/api/v1/items/12345?full=1", "escaped": "/api/v1/a%20b/c", "dots": "/api/../v1/./items"} {
		b.Run(name, func(b *testing.B) {
			var r core.Request
			b.ReportAllocs()
			for b.Loop() {
				r.SetReceived(target, target)
				if r.Path() == "" {
					b.Fatal("no path")
				}
			}
		})
	}
}
