package redirect_test

import (
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/plugins/redirect"
)

// config is a configuration as the decoder makes it.
func config(t testing.TB, to string, change func(*redirect.Config)) *redirect.Config {
	t.Helper()
	c := new(redirect.Config)
	c.Defaults()
	if to != "" {
		if err := c.UnmarshalText([]byte(to)); err != nil {
			t.Fatal(err)
		}
	}
	if change != nil {
		change(c)
	}
	return c
}

// outcome is what became of a request.
type outcome struct {
	passed   bool // what stands below was called
	status   int
	location string
	code     core.Code
}

func run(t testing.TB, c *redirect.Config, scheme, host, target string) (out outcome) {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	f, err := redirect.New(c, &core.Env{})
	if err != nil {
		t.Fatal(err)
	}
	x := core.NewExchange(nil, nil)
	defer x.Release()
	x.Request.Method, x.Request.Scheme, x.Request.Authority = "GET", scheme, host
	x.Request.SetReceived(target, target)
	err = f.Handle(x, core.HandlerFunc(func(*core.Exchange) error {
		out.passed = true
		return nil
	}))
	if e, ok := core.AsError(err); ok {
		out.code = e.Code
	}
	out.status, out.location = x.Response.Status, x.Response.Header.Joined("Location")
	return out
}

func TestToNamesTheURL(t *testing.T) {
	for _, c := range []struct{ to, target, location string }{
		{"https://example.com/", "/a", "https://example.com/"},
		{"https://example.com$request_uri", "/a?b=1", "https://example.com/a?b=1"},
		{"$scheme://www.$host$uri", "/a", "http://www.shop.test/a"},
		{"/new", "/a", "/new"},
		{"/new$request_uri", "/a", "/new/a"},
		{"$request_uri", "/a", "/a"},
		{"/to?u=$request_uri", "/a", "/to?u=/a"},
		// What could end the line, or be read as something else, is escaped.
		{"/x?q=$arg_q", "/?q=a%0d%0aSet-Cookie:%20b", "/x?q=a%0D%0ASet-Cookie:%20b"},
		{"/x?q=$arg_q", "/?q=%3Cscript%3E%22%5C", "/x?q=%3Cscript%3E%22%5C"},
		{"/x?q=$arg_q", "/?q=%C3%A4", "/x?q=%C3%A4"},
	} {
		got := run(t, config(t, c.to, nil), "http", "shop.test", c.target)
		if due := (outcome{status: 302, location: c.location}); got != due {
			t.Errorf("to %s, target %s: %+v, due %+v", c.to, c.target, got, due)
		}
	}
}

func TestAPathNeverBecomesAHost(t *testing.T) {
	for _, c := range []struct{ to, target, location string }{
		{"$request_uri", "//evil.test/a", "/evil.test/a"},
		{"/$arg_next", "/?next=/evil.test", "/evil.test"},
		{"/$arg_next", "/?next=//evil.test", "/evil.test"},
		{"/$arg_next", "/?next=%5Cevil.test", "/%5Cevil.test"},
	} {
		got := run(t, config(t, c.to, nil), "https", "shop.test", c.target)
		if due := (outcome{status: 302, location: c.location}); got != due {
			t.Errorf("to %s, target %s: %+v, due %+v", c.to, c.target, got, due)
		}
	}
}

func TestAllowLimitsTheHostsThatTheClientCanChoose(t *testing.T) {
	allow := func(c *redirect.Config) { c.Allow = []string{"Other.test", "*.example.com"} }
	refused := outcome{code: core.CodeBadRequest}
	for _, c := range []struct {
		to, next string
		due      outcome
	}{
		{"$arg_next", "https://other.test/a?b", outcome{status: 302, location: "https://other.test/a?b"}},
		{"$arg_next", "https://OTHER.test:8443/", outcome{status: 302, location: "https://OTHER.test:8443/"}},
		{"$arg_next", "http://a.b.example.com", outcome{status: 302, location: "http://a.b.example.com"}},
		{"$arg_next", "https://shop.test/", outcome{status: 302, location: "https://shop.test/"}},
		{"$arg_next", "/a", outcome{status: 302, location: "/a"}},
		{"$arg_next", "//evil.test", outcome{status: 302, location: "/evil.test"}},
		{"https://$arg_next/", "other.test", outcome{status: 302, location: "https://other.test/"}},
		{"$arg_next", "https://evil.test/", refused},
		{"$arg_next", "https://example.com/", refused},
		{"$arg_next", "https://evilexample.com/", refused},
		{"$arg_next", "https://other.test.evil.test/", refused},
		{"$arg_next", "https://other.test@evil.test/", refused},
		{"$arg_next", "https://evil.test%5C@other.test/", refused},
		{"$arg_next", "https://evil.test%23@other.test/", refused},
		{"$arg_next", "https:/other.test/", refused},
		{"$arg_next", "https:///other.test/", refused},
		{"$arg_next", "javascript:alert(1)", refused},
		{"$arg_next", "javascript://other.test/%250aalert(1)", refused},
		{"$arg_next", "other.test", refused},
		{"$arg_next", "", refused},
		{"https://$arg_next/", "evil.test/other.test", refused},
	} {
		if got := run(t, config(t, c.to, allow), "https", "shop.test", "/?next="+c.next); got != c.due {
			t.Errorf("to %s, next=%s: %+v, due %+v", c.to, c.next, got, c.due)
		}
	}
}

func TestPropertiesRedirectOnlyWhatLacksThem(t *testing.T) {
	https := func(c *redirect.Config) { c.HTTPS = true }
	host := func(c *redirect.Config) { c.Host = "www.shop.test" }
	both := func(c *redirect.Config) { c.HTTPS, c.Host, c.Status = true, "www.shop.test", 301 }
	port := func(c *redirect.Config) { c.HTTPS, c.Host = true, "www.shop.test:8443" }
	add := func(c *redirect.Config) { c.TrailingSlash = "add" }
	remove := func(c *redirect.Config) { c.TrailingSlash = "remove" }
	passed := outcome{passed: true}
	to := func(status int, location string) outcome { return outcome{status: status, location: location} }
	for _, c := range []struct {
		name                 string
		change               func(*redirect.Config)
		scheme, host, target string
		due                  outcome
	}{
		{"https from http", https, "http", "shop.test", "/a?b", to(302, "https://shop.test/a?b")},
		{"https leaves the port out", https, "http", "shop.test:8080", "/", to(302, "https://shop.test/")},
		{"https from https", https, "https", "shop.test:8443", "/", passed},
		{"https without a host", https, "http", "", "/", passed},
		{"https of OPTIONS *", https, "http", "shop.test", "*", passed},
		{"https of two slashes", https, "http", "shop.test", "//evil.test", to(302, "https://shop.test/evil.test")},
		{"https with an empty query", https, "http", "shop.test", "/?", to(302, "https://shop.test/?")},
		{"host from another", host, "http", "shop.test", "/a", to(302, "http://www.shop.test/a")},
		{"host from the same", host, "http", "WWW.shop.test", "/a", passed},
		{"host from the same with the scheme's port", host, "http", "www.shop.test:80", "/a", passed},
		{"host from the same with another port", host, "http", "www.shop.test:81", "/a", to(302, "http://www.shop.test/a")},
		{"both in one step", both, "http", "shop.test", "/a", to(301, "https://www.shop.test/a")},
		{"https alone, host is right", both, "http", "www.shop.test", "/a", to(301, "https://www.shop.test/a")},
		{"both are right", both, "https", "www.shop.test", "/a", passed},
		{"a port of its own", port, "http", "www.shop.test", "/", to(302, "https://www.shop.test:8443/")},
		{"a slash is added", add, "http", "shop.test", "/a?b", to(302, "http://shop.test/a/?b")},
		{"a slash is there", add, "http", "shop.test", "/a/", passed},
		{"slashes are removed", remove, "http", "shop.test", "/a/?b", to(302, "http://shop.test/a?b")},
		{"the root keeps its slash", remove, "http", "shop.test", "/", passed},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := run(t, config(t, "", c.change), c.scheme, c.host, c.target); got != c.due {
				t.Errorf("%s://%s%s: %+v, due %+v", c.scheme, c.host, c.target, got, c.due)
			}
		})
	}
}

func TestRedirectsThatCannotBeMeantAreRefused(t *testing.T) {
	for _, c := range []struct {
		to     string
		change func(*redirect.Config)
		due    string
	}{
		{"", nil, "no target is given"},
		{"/a", func(c *redirect.Config) { c.HTTPS = true }, "to names the whole URL"},
		{"/a", func(c *redirect.Config) { c.Status = 200 }, "status 200 is no redirect"},
		{"", func(c *redirect.Config) { c.HTTPS, c.Allow = true, []string{"a"} }, "allow belongs to `to`"},
		{"", func(c *redirect.Config) { c.Host = "a b" }, "is no host"},
		{"$arg_next", func(c *redirect.Config) { c.Allow = []string{"https://a"} }, "is no host"},
		{"$arg_next", func(c *redirect.Config) { c.Allow = []string{"*"} }, "is no host"},
		{"example.com", nil, "is no URL"},
		{"//example.com/", nil, "is no URL"},
		{"ftp://example.com/", nil, "does not begin with http://"},
		{"javascript://$host/", nil, "does not begin with http://"},
		{"$arg_next", nil, "$arg_next can name any host"},
		{"$host/a", nil, "$host can name any host"},
		{"https://$arg_next", nil, "$arg_next can name any host"},
		{"https://example.com$arg_next", nil, "$arg_next can name any host"},
		{"https://${path_tenant}.example.com/", nil, "$path_tenant can name any host"},
		{"https://$host$arg_next", nil, "$arg_next can name any host"},
	} {
		if err := config(t, c.to, c.change).Validate(); err == nil || !strings.Contains(err.Error(), c.due) {
			t.Errorf("to %s: error %v, due one with %q", c.to, err, c.due)
		}
	}
}
