package headers_test

import (
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/plugins/headers"
)

func tmpl(t testing.TB, source string) *core.Template {
	t.Helper()
	out, err := core.ParseTemplate(source)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func build(t testing.TB, c *headers.Config) core.Filter {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	f, err := headers.New(c, &core.Env{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// wire is a header as it would be sent, a line each.
func wire(h *core.Header) string {
	var out strings.Builder
	for _, f := range h.Fields() {
		out.WriteString(f.Name + ": " + f.Value + "\n")
	}
	return out.String()
}

func TestEditsOfARequest(t *testing.T) {
	type templates = map[string]*core.Template
	for _, c := range []struct {
		name  string
		edits headers.Edits
		due   string // of the fields A: 1, B: 2, b: 3, X-Internal-User: root
	}{
		{"nothing", headers.Edits{}, "A: 1\nB: 2\nb: 3\nX-Internal-User: root\n"},
		{"set replaces every field of the name, in its place",
			headers.Edits{Set: templates{"B": tmpl(t, "9")}}, "A: 1\nB: 9\nX-Internal-User: root\n"},
		{"set appends what was not there, in alphabetical order",
			headers.Edits{Set: templates{"D": tmpl(t, "5"), "C": tmpl(t, "4")}},
			"A: 1\nB: 2\nb: 3\nX-Internal-User: root\nC: 4\nD: 5\n"},
		{"set to an empty value removes",
			headers.Edits{Set: templates{"X-Internal-User": tmpl(t, "$var_user")}}, "A: 1\nB: 2\nb: 3\n"},
		{"default keeps what is there and sets what is not",
			headers.Edits{Default: templates{"a": tmpl(t, "9"), "C": tmpl(t, "4")}},
			"A: 1\nB: 2\nb: 3\nX-Internal-User: root\nC: 4\n"},
		{"add appends every value",
			headers.Edits{Add: map[string][]*core.Template{"A": {tmpl(t, "8"), tmpl(t, "9"), tmpl(t, "$var_user")}}},
			"A: 1\nB: 2\nb: 3\nX-Internal-User: root\nA: 8\nA: 9\n"},
		{"remove takes all of a name, and of a beginning",
			headers.Edits{Remove: []string{"b", "x-internal-*"}}, "A: 1\n"},
		{"removed comes before set, so set renews",
			headers.Edits{Remove: []string{"A"}, Set: templates{"A": tmpl(t, "9")}},
			"B: 2\nb: 3\nX-Internal-User: root\nA: 9\n"},
		{"values see variables",
			headers.Edits{Set: templates{"A": tmpl(t, "$request_method $arg_q")}},
			"A: GET x y\nB: 2\nb: 3\nX-Internal-User: root\n"},
		{"a line end in a value becomes a blank",
			headers.Edits{Set: templates{"A": tmpl(t, "$arg_evil")}},
			"A: 1  X-Admin: yes \nB: 2\nb: 3\nX-Internal-User: root\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := build(t, &headers.Config{Request: c.edits})
			x := core.NewExchange(nil, nil)
			defer x.Release()
			x.Request.Method = "GET"
			x.Request.SetTarget("/?q=x+y&evil=1%0d%0aX-Admin:%20yes%7f")
			x.Request.Header.Add("A", "1")
			x.Request.Header.Add("B", "2")
			x.Request.Header.Add("b", "3")
			x.Request.Header.Add("X-Internal-User", "root")
			due := ""
			err := f.Handle(x, core.HandlerFunc(func(x *core.Exchange) error {
				due = wire(&x.Request.Header)
				return nil
			}))
			if err != nil {
				t.Fatal(err)
			}
			if due != c.due {
				t.Errorf("the endpoint sees\n%swhere due is\n%s", due, c.due)
			}
		})
	}
}

func TestEditsOfAResponseSeeTheResponse(t *testing.T) {
	cond, err := core.ParseCondition(`status >= 500`)
	if err != nil {
		t.Fatal(err)
	}
	f := build(t, &headers.Config{Response: headers.Edits{
		If:  cond,
		Set: map[string]*core.Template{"Cache-Control": tmpl(t, "no-store"), "X-Was": tmpl(t, "$sent_http_server")},
	}})
	for status, due := range map[int]string{
		200: "Server: app\n",
		502: "Server: app\nCache-Control: no-store\nX-Was: app\n",
	} {
		x := core.NewExchange(nil, nil)
		err := f.Handle(x, core.HandlerFunc(func(x *core.Exchange) error {
			x.Respond(status, "", "")
			x.Response.Header.Add("Server", "app")
			return nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		if got := wire(&x.Response.Header); got != due {
			t.Errorf("status %d: response has\n%swhere due is\n%s", status, got, due)
		}
		x.Release()
	}
}

func TestSettingHostChangesTheAuthority(t *testing.T) {
	f := build(t, &headers.Config{Request: headers.Edits{Set: map[string]*core.Template{"host": tmpl(t, "$arg_to")}}})
	for _, c := range []struct {
		target, due string
		code        core.Code
	}{
		{"/?to=inner.example.com:81", "inner.example.com:81", ""},
		{"/", "outer.example.com", ""},
		{"/?to=a%20b", "outer.example.com", core.CodeBadRequest},
		{"/?to=user@inner", "outer.example.com", core.CodeBadRequest},
	} {
		x := core.NewExchange(nil, nil)
		x.Request.Authority = "outer.example.com"
		x.Request.SetTarget(c.target)
		err := f.Handle(x, core.HandlerFunc(func(*core.Exchange) error { return nil }))
		code := core.Code("")
		if e, ok := core.AsError(err); ok {
			code = e.Code
		}
		if x.Request.Authority != c.due || code != c.code {
			t.Errorf("%s: host is %q, error %v; due %q, %q", c.target, x.Request.Authority, err, c.due, c.code)
		}
		if x.Request.Header.Has("Host") {
			t.Errorf("%s: there is a field Host beside the authority", c.target)
		}
		x.Release()
	}
}

func TestFieldsThatAreNotTheFiltersAreRefused(t *testing.T) {
	set := func(name, value string) headers.Edits {
		return headers.Edits{Set: map[string]*core.Template{name: tmpl(t, value)}}
	}
	for _, c := range []struct {
		config headers.Config
		due    string
	}{
		{headers.Config{Request: set("Content-Length", "3")}, "belongs to the connection"},
		{headers.Config{Request: set("transfer-encoding", "chunked")}, "belongs to the connection"},
		{headers.Config{Response: set("Connection", "close")}, "belongs to the connection"},
		{headers.Config{Response: set("Upgrade", "h2c")}, "belongs to the connection"},
		{headers.Config{Request: headers.Edits{Remove: []string{"TE"}}}, "belongs to the connection"},
		{headers.Config{Response: set("Host", "a")}, "can only be set"},
		{headers.Config{Request: headers.Edits{Remove: []string{"Host"}}}, "can only be set"},
		{headers.Config{Request: headers.Edits{Default: map[string]*core.Template{"Host": tmpl(t, "a")}}}, "can only be set"},
		{headers.Config{Request: headers.Edits{Add: map[string][]*core.Template{"Host": {tmpl(t, "a")}}}}, "can only be set"},
		{headers.Config{Request: set("Host", "a b")}, "is no host"},
		{headers.Config{Request: set("X Y", "a")}, "is no field name"},
		{headers.Config{Request: set("", "a")}, "is no field name"},
		{headers.Config{Request: headers.Edits{Remove: []string{"*"}}}, "is no field name"},
		{headers.Config{Response: set("A", "1\r\nB: 2")}, "control character"},
	} {
		if err := c.config.Validate(); err == nil || !strings.Contains(err.Error(), c.due) {
			t.Errorf("%+v: error %v, due one with %q", c.config, err, c.due)
		}
	}
}

func TestABeginningNeverRemovesFraming(t *testing.T) {
	f := build(t, &headers.Config{Response: headers.Edits{Remove: []string{"Con*"}}})
	x := core.NewExchange(nil, nil)
	defer x.Release()
	err := f.Handle(x, core.HandlerFunc(func(x *core.Exchange) error {
		x.Response.Header.Add("Content-Length", "3")
		x.Response.Header.Add("Content-Type", "text/plain")
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	if got, due := wire(&x.Response.Header), "Content-Length: 3\n"; got != due {
		t.Errorf("remove: Con* left %q, due %q", got, due)
	}
}
