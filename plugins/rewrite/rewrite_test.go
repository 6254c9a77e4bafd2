package rewrite_test

import (
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/route"
	"github.com/sluiceproxy/sluice/plugins/rewrite"
)

func tmpl(t testing.TB, source string) *core.Template {
	t.Helper()
	out, err := core.ParseTemplate(source)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func build(t testing.TB, c rewrite.Config) core.Filter {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	f, err := rewrite.New(&c, &core.Env{Scope: core.ScopeRoute})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// forwarded returns the target that goes on, "" when the filter asked for a reroute.
func forwarded(t testing.TB, f core.Filter, method, target string) (out string) {
	t.Helper()
	x := core.NewExchange(nil, nil)
	defer x.Release()
	x.Request.Method = method
	x.Request.SetReceived(target, target)
	x.Captures = append(x.Captures, core.Capture{Name: "id", Value: "7 ?#é"})
	err := f.Handle(x, core.HandlerFunc(func(x *core.Exchange) error {
		out = string(x.Request.AppendTarget(nil))
		return nil
	}))
	if err != nil && !core.IsReroute(err) {
		t.Fatal(err)
	}
	return out
}

func TestThePathThatGoesOn(t *testing.T) {
	for _, c := range []struct {
		name   string
		config rewrite.Config
		target string
		due    string
	}{
		{"strip", rewrite.Config{Rewrite: route.Rewrite{Strip: "/a"}}, "/a/b?c=1", "/b?c=1"},
		{"prefix", rewrite.Config{Rewrite: route.Rewrite{Prefix: "/v2"}}, "/b", "/v2/b"},
		{"regex", rewrite.Config{Rewrite: route.Rewrite{Regex: "^/(.*)[.]php$", To: "/$1"}}, "/b.php", "/b"},
		{"path", rewrite.Config{Path: tmpl(t, "/new$uri")}, "/b?c=1", "/new/b?c=1"},
		{"path with a value that must be escaped", rewrite.Config{Path: tmpl(t, "/u/$path_id/x")}, "/b",
			"/u/7%20%3F%23%C3%A9/x"},
		{"path with dot segments that stay within", rewrite.Config{Path: tmpl(t, "/u/$arg_f")}, "/b?f=a/../c", "/u/c?f=a/../c"},
		{"OPTIONS *", rewrite.Config{Path: tmpl(t, "/x")}, "*", "*"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := forwarded(t, build(t, c.config), "GET", c.target); got != c.due {
				t.Errorf("%s became %s, due %s", c.target, got, c.due)
			}
		})
	}
}

func TestNoValueLeadsOutOfTheFolderBeforeIt(t *testing.T) {
	f := build(t, rewrite.Config{Path: tmpl(t, "/u/v-$arg_f/x")})
	for _, target := range []string{"/?f=/../../etc", "/?f=/%2e%2e/%2e%2e/etc", "/?f=/%252e%252e/../etc/../..", "/?f=a/../../../u2"} {
		x := core.NewExchange(nil, nil)
		x.Request.Method = "GET"
		x.Request.SetReceived(target, target)
		err := f.Handle(x, core.HandlerFunc(func(x *core.Exchange) error {
			t.Errorf("%s went on as %s", target, x.Request.RawPath())
			return nil
		}))
		if e, ok := core.AsError(err); !ok || e.Code != core.CodeBadRequest {
			t.Errorf("%s: error %v, due bad_request", target, err)
		}
		x.Release()
	}
}

func TestTheQueryThatGoesOn(t *testing.T) {
	set := func(name, value string) map[string]*core.Template {
		return map[string]*core.Template{name: tmpl(t, value)}
	}
	for _, c := range []struct {
		name   string
		query  rewrite.Query
		target string
		due    string
	}{
		{"remove", rewrite.Query{Remove: []string{"a"}}, "/?a=1&b=2&a=3", "/?b=2"},
		{"remove the last", rewrite.Query{Remove: []string{"a"}}, "/?a", "/"},
		{"remove a name that is written escaped", rewrite.Query{Remove: []string{"a b"}}, "/?a%20b=1&a+b=2&c", "/?c"},
		{"remove what begins so", rewrite.Query{Remove: []string{"utm_*"}}, "/?utm_a=1&x=2&utm_=3&utm=4", "/?x=2&utm=4"},
		{"remove all", rewrite.Query{Remove: []string{"*"}}, "/?a=1&b", "/"},
		{"set", rewrite.Query{Set: set("c", "3")}, "/?a=%31&b", "/?a=%31&b&c=3"},
		{"set where there was none", rewrite.Query{Set: set("c", "3")}, "/", "/?c=3"},
		{"set replaces all", rewrite.Query{Set: set("a", "9")}, "/?a=1&b=2&a=3", "/?b=2&a=9"},
		{"set escapes", rewrite.Query{Set: set("a&b", "$arg_x")}, "/?x=1%262=%C3%A9", "/?x=1%262=%C3%A9&a%26b=1%262%3D%C3%A9"},
		{"set to nothing", rewrite.Query{Set: set("a", "$arg_none")}, "/?a=1&b=2", "/?b=2"},
		{"rename", rewrite.Query{Remove: []string{"old"}, Set: set("new", "$arg_old")}, "/?old=1", "/?new=1"},
		{"nothing to do", rewrite.Query{Remove: []string{"z"}}, "/?", "/?"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := forwarded(t, build(t, rewrite.Config{Query: c.query}), "GET", c.target); got != c.due {
				t.Errorf("%s became %s, due %s", c.target, got, c.due)
			}
		})
	}
}

func TestOnlyARequestThatWasChangedIsRoutedAnew(t *testing.T) {
	f := build(t, rewrite.Config{Rewrite: route.Rewrite{Strip: "/a"}, Reroute: true})
	for target, due := range map[string]string{"/a/b": "", "/b": "/b"} {
		if got := forwarded(t, f, "GET", target); got != due {
			t.Errorf("%s went on as %q, due %q (nothing: routed anew)", target, got, due)
		}
	}
}

func TestReroutingIsForRoutes(t *testing.T) {
	for _, scope := range []core.Scope{core.ScopeListener, core.ScopeUpstream} {
		c := rewrite.Config{Path: tmpl(t, "/a"), Reroute: true}
		if _, err := rewrite.New(&c, &core.Env{Scope: scope}); err == nil || !strings.Contains(err.Error(), scope.String()) {
			t.Errorf("among the filters of a %v: error %v, due one that says so", scope, err)
		}
	}
}

func TestRewritesThatCannotBeMeantAreRefused(t *testing.T) {
	for _, c := range []struct {
		config rewrite.Config
		due    string
	}{
		{rewrite.Config{}, "nothing to rewrite"},
		{rewrite.Config{Reroute: true}, "nothing to rewrite"},
		{rewrite.Config{Path: tmpl(t, "/a"), Rewrite: route.Rewrite{Strip: "/b"}}, "path names the whole path"},
		{rewrite.Config{Path: tmpl(t, "a")}, "must begin with /"},
		{rewrite.Config{Path: tmpl(t, "$arg_p")}, "must begin with /"},
		{rewrite.Config{Path: tmpl(t, "/a/../b/$uri")}, "holds /../"},
		{rewrite.Config{Rewrite: route.Rewrite{Regex: "("}}, "regex"},
		{rewrite.Config{Query: rewrite.Query{Remove: []string{""}}}, "is empty"},
		{rewrite.Config{Query: rewrite.Query{Set: map[string]*core.Template{"": nil}}}, "is empty"},
	} {
		if err := c.config.Validate(); err == nil || !strings.Contains(err.Error(), c.due) {
			t.Errorf("%+v: error %v, due one with %q", c.config, err, c.due)
		}
	}
}
