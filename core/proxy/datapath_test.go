package proxy_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/proxy"
	"github.com/sluiceproxy/sluice/core/route"
)

// filter lets a function be a filter.
type filter func(x *core.Exchange, next core.Handler) error

func (f filter) Handle(x *core.Exchange, next core.Handler) error { return f(x, next) }

func link(name string, f filter) core.Link { return core.Link{Name: name, Filter: f} }

// upstream answers as the function says.
type upstream struct {
	name   string
	handle func(x *core.Exchange) error
}

func (u *upstream) Name() string                  { return u.name }
func (u *upstream) Endpoints() []core.Endpoint    { return nil }
func (u *upstream) Handle(x *core.Exchange) error { return u.handle(x) }

func answers(name string) *upstream {
	return &upstream{name, func(x *core.Exchange) error {
		x.Respond(200, "", name+" "+x.Request.RawPath())
		return nil
	}}
}

// serve runs one exchange through a listener with the filters and the routes.
func serve(t *testing.T, target string, filters []core.Link, routes map[string]proxy.RouteConfig) *core.Exchange {
	t.Helper()
	var entries []route.Entry
	for path, c := range routes {
		entries = append(entries, route.Entry{
			Config: &route.Config{Name: path, Match: route.Match{Path: []string{path}}},
			Route:  &core.Route{Name: path, Handler: proxy.Route(c)},
		})
	}
	table, err := route.Compile(entries, route.Specific)
	if err != nil {
		t.Fatal(err)
	}
	x := core.NewExchange(nil, nil)
	x.Request.Method, x.Request.Proto = "GET", core.HTTP11
	x.Request.SetReceived(target, target)
	if err := proxy.Listener(proxy.ListenerConfig{Filters: filters, Table: table}).Handle(x); err != nil {
		t.Fatalf("an error came out of the listener: %v", err)
	}
	return x
}

func to(t *testing.T, u *upstream) *route.Target {
	t.Helper()
	tg, err := route.NewTarget(&route.To{Upstream: u.name}, func(string) core.Upstream { return u })
	if err != nil {
		t.Fatal(err)
	}
	return tg
}

func body(x *core.Exchange) string {
	_, text, _ := x.Response.Body.Buffered()
	return text
}

func TestFiltersAboveSeeErrorsAsResponses(t *testing.T) {
	dead := &upstream{"dead", func(*core.Exchange) error { return core.NewError(core.CodeConnectRefused, errors.New("no")) }}
	var seen []string
	note := func(where string) core.Link {
		return link(where, func(x *core.Exchange, next core.Handler) error {
			err := next.Handle(x)
			seen = append(seen, fmt.Sprintf("%s: %d %s %v", where, x.Response.Status, x.Response.Header.Get(proxy.ErrorHeader), err))
			return err
		})
	}
	routes := map[string]proxy.RouteConfig{"/dead": {Filters: []core.Link{note("route")}, To: to(t, dead)}}
	serve(t, "/dead", []core.Link{note("listener")}, routes)
	serve(t, "/none", []core.Link{note("listener")}, routes)
	want := "route: 502 connect_refused <nil>\nlistener: 502 connect_refused <nil>\nlistener: 404 no_route <nil>"
	if got := strings.Join(seen, "\n"); got != want {
		t.Errorf("seen\n%s\ndue\n%s", got, want)
	}
}

func TestARerouteGoesThroughTheTableAgainButNotForEver(t *testing.T) {
	reroute := func(path string) core.Link {
		return link("reroute", func(x *core.Exchange, _ core.Handler) error {
			x.Request.SetTarget(path)
			return x.Reroute()
		})
	}
	routes := map[string]proxy.RouteConfig{
		"/a":    {Filters: []core.Link{reroute("/b")}},
		"/b":    {To: to(t, answers("shop"))},
		"/loop": {Filters: []core.Link{reroute("/loop")}},
	}
	if x := serve(t, "/a", nil, routes); body(x) != "shop /b" || x.Route.Name != "/b" || x.Rerouted() != 1 {
		t.Errorf("got %d %q on route %s", x.Response.Status, body(x), x.Route.Name)
	}
	if x := serve(t, "/loop", nil, routes); x.Response.Status != 508 || x.Err.Code != core.CodeRedirectLoop {
		t.Errorf("a loop got %d", x.Response.Status)
	}
	if x := serve(t, "/b", []core.Link{reroute("/b")}, routes); x.Response.Status != 500 {
		t.Errorf("a listener filter that reroutes got %d", x.Response.Status)
	}
}

func TestAFilterMayChooseTheUpstreamAndCallNextAgain(t *testing.T) {
	calls := 0
	flaky := &upstream{"flaky", func(x *core.Exchange) error {
		calls++
		x.Respond(500+calls, "", x.Request.RawPath())
		return nil
	}}
	again := link("again", func(x *core.Exchange, next core.Handler) error {
		x.Upstream = flaky
		if err := next.Handle(x); err != nil {
			return err
		}
		return next.Handle(x)
	})
	rewrite := &route.Rewrite{Strip: "/a"}
	if err := rewrite.Validate(); err != nil {
		t.Fatal(err)
	}
	x := serve(t, "/a/a/b", nil, map[string]proxy.RouteConfig{
		"/a/**": {Filters: []core.Link{again}, Rewrite: rewrite, To: to(t, answers("shop"))}})
	if calls != 2 || x.Response.Status != 502 || body(x) != "/a/b" {
		t.Errorf("%d calls, got %d, and the endpoint was asked for %q, due /a/b", calls, x.Response.Status, body(x))
	}
	if x.Request.RawPath() != "/a/a/b" {
		t.Errorf("afterwards the path is %q", x.Request.RawPath())
	}
}

func TestAFilterThatForgetsToAnswerIsNamedAMistake(t *testing.T) {
	mute := link("mute", func(*core.Exchange, core.Handler) error { return nil })
	x := serve(t, "/", nil, map[string]proxy.RouteConfig{"/": {Filters: []core.Link{mute}}})
	if x.Response.Status != 500 || x.Err.Code != core.CodeFilterFailed {
		t.Errorf("got %d %v", x.Response.Status, x.Err)
	}
}

func TestAListenerFilterMayRouteByItself(t *testing.T) {
	direct := link("direct", func(x *core.Exchange, next core.Handler) error {
		x.Upstream = answers("chosen")
		return next.Handle(x)
	})
	if x := serve(t, "/nowhere", []core.Link{direct}, nil); body(x) != "chosen /nowhere" {
		t.Errorf("got %d %q", x.Response.Status, body(x))
	}
}

func TestWhatTheProxyAnswersNamesTheCodeButNotTheCause(t *testing.T) {
	secret := &upstream{"s", func(*core.Exchange) error {
		return &core.Error{Code: core.CodeOverflow, RetryAfter: 1500e6, Err: errors.New("10.0.0.1 is full")}
	}}
	x := serve(t, "/", nil, map[string]proxy.RouteConfig{"/": {To: to(t, secret)}})
	if got := body(x); got != "503 Service Unavailable (upstream_overflow)\n" || x.Response.Header.Get("Retry-After") != "2" {
		t.Errorf("got %q, Retry-After %q", got, x.Response.Header.Get("Retry-After"))
	}
}
