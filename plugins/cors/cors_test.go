package cors_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/plugins/cors"
)

func origins(t testing.TB, list ...string) []cors.Origin {
	t.Helper()
	out := make([]cors.Origin, len(list))
	for i, s := range list {
		if err := out[i].UnmarshalText([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func build(t testing.TB, change func(*cors.Config)) core.Filter {
	t.Helper()
	c := new(cors.Config)
	c.Defaults()
	change(c)
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	f, err := cors.New(c, &core.Env{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// ask runs a request, given as method and fields, and returns the response as it would be sent.
// Its endpoint answers 200 with fields of its own.
func ask(t testing.TB, f core.Filter, method string, fields ...string) string {
	t.Helper()
	x := core.NewExchange(nil, nil)
	defer x.Release()
	x.Request.Method = method
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		x.Request.Header.Add(name, value)
	}
	err := f.Handle(x, core.HandlerFunc(func(x *core.Exchange) error {
		x.Response.Status = 200
		x.Response.Header.Add("X-Total", "7")
		x.Response.Header.Add("access-control-allow-origin", "https://of.the.endpoint")
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	out := map[int]string{200: "200\n", 204: "204\n"}[x.Response.Status]
	for _, field := range x.Response.Header.Fields() {
		out += field.Name + ": " + field.Value + "\n"
	}
	return out
}

const app = "https://app.example.com"

func TestOriginsThatMayRead(t *testing.T) {
	f := build(t, func(c *cors.Config) {
		c.Origins = origins(t, app, "https://*.preview.example.com", "http://localhost:*",
			`~https://[a-z]+\.regex\.example`, "null")
	})
	for origin, allowed := range map[string]bool{
		app:                                       true,
		"https://a.preview.example.com":           true,
		"https://a-1.b.preview.example.com":       true,
		"http://localhost:3000":                   true,
		"https://abc.regex.example":               true,
		"null":                                    true,
		"http://app.example.com":                  false,
		"https://app.example.com.evil.test":       false,
		"https://app.example.com:8443":            false,
		"https://preview.example.com":             false,
		"https://evil.test/.preview.example.com":  false,
		"https://evil.test#.preview.example.com":  false,
		"https://a.preview.example.com.evil.test": false,
		"http://localhost":                        false,
		"https://abc.regex.example.evil.test":     false,
		"https://x/https://abc.regex.example":     false,
		"":                                        false,
	} {
		due := "200\nX-Total: 7\nVary: Origin\n"
		if allowed {
			due += "Access-Control-Allow-Origin: " + origin + "\n"
		}
		if got := ask(t, f, "GET", "Origin: "+origin); got != due {
			t.Errorf("origin %q came\n%sdue\n%s", origin, got, due)
		}
	}
}

func TestResponsesToCrossOriginRequests(t *testing.T) {
	one := func(c *cors.Config) { c.Origins = origins(t, app) }
	all := func(c *cors.Config) { c.Origins = origins(t, "*") }
	for _, c := range []struct {
		name   string
		config func(*cors.Config)
		fields []string
		due    string
	}{
		{"without an origin it still varies", one, nil, "200\nX-Total: 7\nVary: Origin\n"},
		{"two origins are none", one, []string{"Origin: " + app, "Origin: " + app}, "200\nX-Total: 7\nVary: Origin\n"},
		{"for all origins it depends on none", all, []string{"Origin: " + app},
			"200\nX-Total: 7\nAccess-Control-Allow-Origin: *\n"},
		{"for all origins a cache may serve it to any", all, nil, "200\nX-Total: 7\nAccess-Control-Allow-Origin: *\n"},
		{"credentials", func(c *cors.Config) { one(c); c.Credentials = true }, []string{"Origin: " + app},
			"200\nX-Total: 7\nVary: Origin\nAccess-Control-Allow-Origin: " + app + "\nAccess-Control-Allow-Credentials: true\n"},
		{"exposed fields", func(c *cors.Config) { all(c); c.Expose = []string{"X-Total", "X-Page"} }, []string{"Origin: " + app},
			"200\nX-Total: 7\nAccess-Control-Allow-Origin: *\nAccess-Control-Expose-Headers: X-Total, X-Page\n"},
		{"all fields exposed with credentials are spelled out", func(c *cors.Config) {
			one(c)
			c.Credentials, c.Expose = true, []string{"*"}
		}, []string{"Origin: " + app}, "200\nX-Total: 7\nVary: Origin\nAccess-Control-Allow-Origin: " + app +
			"\nAccess-Control-Allow-Credentials: true\nAccess-Control-Expose-Headers: X-Total\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := ask(t, build(t, c.config), "GET", c.fields...); got != c.due {
				t.Errorf("GET %q came\n%sdue\n%s", c.fields, got, c.due)
			}
		})
	}
}

func TestPreflightsAreAnswered(t *testing.T) {
	const (
		method = "Access-Control-Request-Method: PUT"
		fields = "Access-Control-Request-Headers: authorization,x-a"
		lan    = "Access-Control-Request-Private-Network: true"
		vary   = "Access-Control-Request-Method, Access-Control-Request-Headers"
	)
	one := func(c *cors.Config) {
		c.Origins = origins(t, app)
		c.Methods, c.Headers = []string{"PUT"}, []string{"X-A", "X-B"}
		c.MaxAge = core.Duration(10 * time.Minute)
	}
	all := func(c *cors.Config) {
		c.Origins = origins(t, "*")
		c.Methods, c.Headers = []string{"*"}, []string{"*"}
	}
	for _, c := range []struct {
		name   string
		config func(*cors.Config)
		fields []string
		due    string
	}{
		{"from an origin that may", one, []string{"Origin: " + app, method, fields},
			"204\nVary: Origin, " + vary + "\nAccess-Control-Allow-Origin: " + app +
				"\nAccess-Control-Allow-Methods: GET, HEAD, POST, PUT\nAccess-Control-Allow-Headers: X-A, X-B\nAccess-Control-Max-Age: 600\n"},
		{"from an origin that may not", one, []string{"Origin: https://evil.test", method, fields},
			"204\nVary: Origin, " + vary + "\n"},
		{"for all methods and fields what was asked for is named", all, []string{"Origin: " + app, method, fields},
			"204\nVary: " + vary + "\nAccess-Control-Allow-Origin: *\nAccess-Control-Allow-Methods: PUT\n" +
				"Access-Control-Allow-Headers: authorization,x-a\nAccess-Control-Max-Age: 300\n"},
		{"that asks for no fields", all, []string{"Origin: " + app, method},
			"204\nVary: " + vary + "\nAccess-Control-Allow-Origin: *\nAccess-Control-Allow-Methods: PUT\nAccess-Control-Max-Age: 300\n"},
		{"to a private network that is closed", all, []string{"Origin: " + app, method, lan},
			"204\nVary: " + vary + "\nAccess-Control-Allow-Origin: *\nAccess-Control-Allow-Methods: PUT\nAccess-Control-Max-Age: 300\n"},
		{"to a private network that is open", func(c *cors.Config) { all(c); c.PrivateNetwork = true },
			[]string{"Origin: " + app, method, lan},
			"204\nVary: " + vary + ", Access-Control-Request-Private-Network\nAccess-Control-Allow-Origin: *\n" +
				"Access-Control-Allow-Methods: PUT\nAccess-Control-Max-Age: 300\nAccess-Control-Allow-Private-Network: true\n"},
		{"without a method is an OPTIONS like any other", one, []string{"Origin: " + app},
			"200\nX-Total: 7\nVary: Origin\nAccess-Control-Allow-Origin: " + app + "\n"},
		{"without an origin is an OPTIONS like any other", one, []string{method}, "200\nX-Total: 7\nVary: Origin\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := ask(t, build(t, c.config), "OPTIONS", c.fields...); got != c.due {
				t.Errorf("OPTIONS %q came\n%sdue\n%s", c.fields, got, c.due)
			}
		})
	}
}

func TestVaryIsNotRepeated(t *testing.T) {
	f := build(t, func(c *cors.Config) { c.Origins = origins(t, app) })
	for before, due := range map[string]string{
		"Accept, origin": "Accept, origin", "*": "*", "Accept": "Accept, Origin", "": "Origin",
	} {
		x := core.NewExchange(nil, nil)
		err := f.Handle(x, core.HandlerFunc(func(x *core.Exchange) error {
			if before != "" {
				x.Response.Header.Add("Vary", before)
			}
			return nil
		}))
		if got := x.Response.Header.Joined("Vary"); err != nil || got != due {
			t.Errorf("Vary %q became %q (error %v), due %q", before, got, err, due)
		}
		x.Release()
	}
}

func TestOriginsThatNoBrowserSendsAreRefused(t *testing.T) {
	for text, due := range map[string]string{
		"app.example.com":          "write scheme and host",
		"https://app.example.com/": "write https://app.example.com",
		"https://a@b.example":      "more than scheme, host and port",
		"https://a.example:443":    "remove it",
		"http://a.example:80":      "remove it",
		"https://*.*.example":      "more than one '*'",
		"~(":                       "no regular expression",
		"":                         "write scheme and host",
	} {
		var o cors.Origin
		if err := o.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), due) {
			t.Errorf("origin %q: error %v, due one with %q", text, err, due)
		}
	}
}

func TestPoliciesThatCannotBeMeantAreRefused(t *testing.T) {
	for due, change := range map[string]func(*cors.Config){
		"origins is empty":      func(*cors.Config) {},
		"credentials with":      func(c *cors.Config) { c.Origins, c.Credentials = origins(t, "*"), true },
		"methods: \"PUT, GET\"": func(c *cors.Config) { c.Origins, c.Methods = origins(t, app), []string{"PUT, GET"} },
		"headers: \"\"":         func(c *cors.Config) { c.Origins, c.Headers = origins(t, app), []string{""} },
		"expose: \"a b\"":       func(c *cors.Config) { c.Origins, c.Expose = origins(t, app), []string{"a b"} },
	} {
		c := new(cors.Config)
		c.Defaults()
		change(c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), due) {
			t.Errorf("error %v, due one with %q", err, due)
		}
	}
}
