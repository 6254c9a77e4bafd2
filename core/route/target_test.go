package route_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/route"
)

// named is an upstream that is asked for nothing but its name.
type named string

func (n named) Name() string                { return string(n) }
func (n named) Endpoints() []core.Endpoint  { return nil }
func (n named) Handle(*core.Exchange) error { return nil }

func target(t *testing.T, to *route.To) *route.Target {
	t.Helper()
	got, err := route.NewTarget(to, func(name string) core.Upstream { return named(name) })
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestASplitDividesByItsWeightsWhichCanChange(t *testing.T) {
	tg := target(t, &route.To{Split: map[string]int{"a": 90, "b": 10}})
	count := func() (b int) {
		for range 20_000 {
			if tg.Choose(request("GET x/")).Name() == "b" {
				b++
			}
		}
		return b
	}
	if b := count(); b < 1600 || b > 2400 { // nine standard deviations
		t.Errorf("b got %d of 20000, due about 2000", b)
	}
	if err := tg.SetWeights(map[string]int{"a": 0, "b": 5}); err != nil {
		t.Fatal(err)
	}
	if b := count(); b != 20_000 {
		t.Errorf("with nothing for a, b got %d of 20000", b)
	}
	for want, weights := range map[string]map[string]int{
		"no upstream c":   {"c": 1},
		"weights are all": {"b": 0},
		"not between":     {"b": -1},
		"1000000":         {"b": 1 << 30},
	} {
		if err := tg.SetWeights(weights); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, due %s", weights, err, want)
		}
	}
	if b := count(); b != 20_000 {
		t.Error("weights that were refused changed something")
	}
}

func TestAStickyCookieKeepsAClientWhereItIs(t *testing.T) {
	tg := target(t, &route.To{Split: map[string]int{"a": 1, "b": 1}, Sticky: &route.Sticky{Cookie: "shop-variant"}})
	x := request("GET x/")
	x.Upstream = tg.Choose(x)
	tg.Finish(x)
	set := x.Response.Header.Get("Set-Cookie")
	cookie, _, _ := strings.Cut(set, ";")
	if !strings.HasPrefix(cookie, "shop-variant=") || !strings.Contains(set, "HttpOnly") || !strings.Contains(set, "SameSite=Lax") {
		t.Fatalf("Set-Cookie %q", set)
	}
	for range 50 {
		y := request("GET x/ Cookie=" + cookie)
		if y.Upstream = tg.Choose(y); y.Upstream != x.Upstream {
			t.Fatalf("went to %s, then to %s", x.Upstream.Name(), y.Upstream.Name())
		}
		if tg.Finish(y); y.Response.Header.Has("Set-Cookie") {
			t.Error("the cookie was set again")
		}
	}
	gone := x.Upstream.Name()
	if err := tg.SetWeights(map[string]int{gone: 0}); err != nil {
		t.Fatal(err)
	}
	y := request("GET x/ Cookie=" + cookie)
	if y.Upstream = tg.Choose(y); y.Upstream.Name() == gone {
		t.Errorf("went to %s, which gets nothing any more", gone)
	}
	if tg.Finish(y); !y.Response.Header.Has("Set-Cookie") {
		t.Error("a client that was moved got no new cookie")
	}
}

func TestAStickyHeaderAlwaysLeadsToTheSame(t *testing.T) {
	tg := target(t, &route.To{Split: map[string]int{"a": 1, "b": 1}, Sticky: &route.Sticky{Header: "X-User"}})
	seen := map[string]int{}
	for user := range 200 {
		line := fmt.Sprintf("GET x/ X-User=u%d", user)
		first := tg.Choose(request(line)).Name()
		seen[first]++
		for range 3 {
			if again := tg.Choose(request(line)).Name(); again != first {
				t.Fatalf("user %d went to %s, then to %s", user, first, again)
			}
		}
	}
	if seen["a"] < 50 || seen["b"] < 50 {
		t.Errorf("users were divided %v", seen)
	}
}

func TestMistakesInToAreTold(t *testing.T) {
	for want, to := range map[string]*route.To{
		"write the name of an upstream": {},
		"the weights are all 0":         {Split: map[string]int{"a": 0}},
		"weight -1 is not between":      {Split: map[string]int{"a": -1}},
		"sticky needs a split":          {Upstream: "a", Sticky: &route.Sticky{Cookie: "c"}},
		"write cookie or header":        {Split: map[string]int{"a": 1}, Sticky: &route.Sticky{}},
		`"a b" is not a cookie name`:    {Split: map[string]int{"a": 1}, Sticky: &route.Sticky{Cookie: "a b"}},
	} {
		if err := to.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, due %s", to, err, want)
		}
	}
	if _, err := route.NewTarget(&route.To{Upstream: "gone"}, func(string) core.Upstream { return nil }); err == nil || !strings.Contains(err.Error(), "no upstream gone") {
		t.Errorf("an upstream that is not there: %v", err)
	}
	if tg, err := route.NewTarget(nil, nil); tg != nil || err != nil {
		t.Errorf("no to: %v, %v", tg, err)
	}
}

func TestPathsAreRewritten(t *testing.T) {
	for _, tc := range []struct {
		r        route.Rewrite
		in, want string
	}{
		{route.Rewrite{Strip: "/a"}, "/a/b", "/b"},
		{route.Rewrite{Strip: "/a"}, "/a", "/"},
		{route.Rewrite{Strip: "/a"}, "/ab", "/ab"},
		{route.Rewrite{Strip: "/a/"}, "/a/b?c=d", "/b?c=d"},
		{route.Rewrite{Prefix: "/v2"}, "/a", "/v2/a"},
		{route.Rewrite{Prefix: "/v2/"}, "/", "/v2/"},
		{route.Rewrite{Strip: "/a", Prefix: "/b"}, "/a/c", "/b/c"},
		{route.Rewrite{Strip: "/a", Prefix: "/b"}, "/a/", "/b/"},
		{route.Rewrite{Strip: "/a", Prefix: "/b"}, "/a", "/b"},
		{route.Rewrite{Regex: `^/u/(\d+)`, To: "/user/$1"}, "/u/7/x?y", "/user/7/x?y"},
		{route.Rewrite{Regex: `^/u/`, To: "no slash"}, "/u/7", "/no%20slash7"},
	} {
		if err := tc.r.Validate(); err != nil {
			t.Fatal(err)
		}
		x := request("GET x" + tc.in)
		tc.r.Apply(x)
		if got := string(x.Request.AppendTarget(nil)); got != tc.want {
			t.Errorf("%+v: %s became %s, due %s", tc.r, tc.in, got, tc.want)
		}
	}
	for want, r := range map[string]route.Rewrite{
		"nothing to rewrite":   {},
		"must begin with /":    {Strip: "a"},
		"to needs regex":       {Strip: "/a", To: "x"},
		"cannot stand beside":  {Strip: "/a", Regex: "b"},
		"error parsing regexp": {Regex: "("},
	} {
		if err := r.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, due %s", r, err, want)
		}
	}
}
