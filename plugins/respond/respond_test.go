package respond_test

import (
	"io"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/plugins/respond"
)

func tmpl(t testing.TB, source string) *core.Template {
	t.Helper()
	out, err := core.ParseTemplate(source)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// defaulted is a configuration as the decoder makes it.
func defaulted(change func(*respond.Config)) *respond.Config {
	c := new(respond.Config)
	c.Defaults()
	change(c)
	return c
}

func unreachable(t *testing.T) core.Handler {
	return core.HandlerFunc(func(*core.Exchange) error {
		t.Error("what stands below respond was called")
		return nil
	})
}

func TestTheResponseIsWhatTheConfigurationSays(t *testing.T) {
	for _, c := range []struct {
		name   string
		config *respond.Config
		status int
		fields string
		body   string
		none   bool // no body at all, rather than an empty one
	}{
		{"by default", defaulted(func(*respond.Config) {}), 200, "", "", false},
		{"a body", defaulted(func(c *respond.Config) { c.Body = tmpl(t, "route of $request_method\n") }),
			200, "Content-Type: text/plain; charset=utf-8\n", "route of GET\n", false},
		{"a type", defaulted(func(c *respond.Config) { c.Body, c.ContentType = tmpl(t, "{}"), "application/json" }),
			200, "Content-Type: application/json\n", "{}", false},
		{"fields, by name, without those that are empty", defaulted(func(c *respond.Config) {
			c.Status = 503
			c.Headers = map[string]*core.Template{
				"Retry-After": tmpl(t, "60"), "Allow": tmpl(t, "$request_method"), "X-None": tmpl(t, "$arg_none"),
			}
		}), 503, "Allow: GET\nRetry-After: 60\n", "", false},
		{"a type among the fields", defaulted(func(c *respond.Config) {
			c.Body = tmpl(t, "{}")
			c.Headers = map[string]*core.Template{"content-type": tmpl(t, "application/json")}
		}), 200, "content-type: application/json\n", "{}", false},
		{"204 has no body", defaulted(func(c *respond.Config) { c.Status = 204 }), 204, "", "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.config.Validate(); err != nil {
				t.Fatal(err)
			}
			f, err := respond.New(c.config, &core.Env{})
			if err != nil {
				t.Fatal(err)
			}
			x := core.NewExchange(nil, nil)
			defer x.Release()
			x.Request.Method = "GET"
			if err := f.Handle(x, unreachable(t)); err != nil {
				t.Fatal(err)
			}
			var fields strings.Builder
			for _, field := range x.Response.Header.Fields() {
				fields.WriteString(field.Name + ": " + field.Value + "\n")
			}
			body := ""
			if r := x.Response.Body.Reader(); r != nil {
				p, err := io.ReadAll(r)
				if err != nil {
					t.Fatal(err)
				}
				body = string(p)
			}
			if x.Response.Status != c.status || fields.String() != c.fields || body != c.body || x.Response.Body.None() != c.none {
				t.Errorf("came %d\n%s\n%q, no body %v; due %d\n%s\n%q, %v", x.Response.Status, fields.String(), body,
					x.Response.Body.None(), c.status, c.fields, c.body, c.none)
			}
		})
	}
}

func TestTheShortFormIsAStatus(t *testing.T) {
	for text, due := range map[string]int{"204": 204, "404": 404, "hello": 0, "": 0} {
		c := defaulted(func(*respond.Config) {})
		err := c.UnmarshalText([]byte(text))
		if (err == nil) != (due != 0) || err == nil && c.Status != due {
			t.Errorf("respond: %s is status %d, error %v; due %d", text, c.Status, err, due)
		}
	}
}

func TestResponsesThatCannotBeAreRefused(t *testing.T) {
	for _, c := range []struct {
		change func(*respond.Config)
		due    string
	}{
		{func(c *respond.Config) { c.Status = 199 }, "status 199 is out of range"},
		{func(c *respond.Config) { c.Status = 600 }, "status 600 is out of range"},
		{func(c *respond.Config) { c.Status, c.Body = 304, tmpl(t, "x") }, "status 304 has no body"},
		{func(c *respond.Config) { c.ContentType = "a\r\nb" }, "content_type holds a control character"},
		{func(c *respond.Config) { c.Headers = map[string]*core.Template{"a b": tmpl(t, "x")} }, "is no field name"},
		{func(c *respond.Config) { c.Headers = map[string]*core.Template{"Content-Length": tmpl(t, "3")} },
			"Content-Length belongs to the connection"},
	} {
		if err := defaulted(c.change).Validate(); err == nil || !strings.Contains(err.Error(), c.due) {
			t.Errorf("error %v, due one with %q", err, c.due)
		}
	}
}
