package route_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/route"
)

// request makes an exchange from a line such as "GET shop.example/a?b=c X-Beta=1".
func request(line string) *core.Exchange {
	words := strings.Fields(line)
	x := core.NewExchange(nil, nil)
	x.Request.Method, x.Request.Scheme = words[0], "http"
	host, path, _ := strings.Cut(words[1], "/")
	x.Request.Authority = host
	x.Request.SetReceived("/"+path, "/"+path)
	x.Client.IP = netip.MustParseAddr("192.0.2.7")
	x.Client.Addr = "192.0.2.7"
	for _, f := range words[2:] {
		name, value, _ := strings.Cut(f, "=")
		x.Request.Header.Add(name, value)
	}
	return x
}

func entry(name string, m route.Match) route.Entry {
	return route.Entry{Config: &route.Config{Name: name, Match: m}, Route: &core.Route{Name: name}}
}

func compile(t testing.TB, order route.Order, entries ...route.Entry) *route.Table {
	t.Helper()
	table, err := route.Compile(entries, order)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func nameOf(r *core.Route) string {
	if r == nil {
		return "none"
	}
	return r.Name
}

func TestACriterionTakesWhatItSays(t *testing.T) {
	condition := func(src string) *core.Condition {
		c, err := core.ParseCondition(src)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, tc := range []struct {
		name string
		m    route.Match
		yes  []string
		no   []string
	}{
		{"host", route.Match{Host: []string{"Shop.Example"}}, []string{"GET shop.example/", "GET SHOP.example:8080/", "GET shop.example./"}, []string{"GET a.shop.example/", "GET example/"}},
		{"wildcard", route.Match{Host: []string{"*.example"}}, []string{"GET a.example/", "GET a.b.example/"}, []string{"GET example/", "GET aexample/"}},
		{"path", route.Match{Path: []string{"/a"}}, []string{"GET x/a", "GET x/b/../a", "GET x/%61"}, []string{"GET x/a/", "GET x/ab", "GET x/A"}},
		{"one segment", route.Match{Path: []string{"/a/*"}}, []string{"GET x/a/b"}, []string{"GET x/a", "GET x/a/", "GET x/a/b/c"}},
		{"rest", route.Match{Path: []string{"/a/**"}}, []string{"GET x/a", "GET x/a/", "GET x/a/b/c"}, []string{"GET x/ab", "GET x/"}},
		{"everything", route.Match{Path: []string{"/**"}}, []string{"GET x/", "GET x/a/b"}, nil},
		{"escaped slash is no slash", route.Match{Path: []string{"/a/*"}}, []string{"GET x/a/b%2Fc"}, nil},
		{"regex", route.Match{Path: []string{`~/v\d+/.*`}}, []string{"GET x/v1/a"}, []string{"GET x/v/a", "GET x/a/v1/b"}},
		{"method", route.Match{Method: []string{"GET", "HEAD"}}, []string{"GET x/", "HEAD x/"}, []string{"POST x/"}},
		{"scheme", route.Match{Scheme: "http"}, []string{"GET x/"}, nil},
		{"header", route.Match{Header: map[string]string{"x-beta": "1"}}, []string{"GET x/ X-Beta=1"}, []string{"GET x/", "GET x/ X-Beta=2"}},
		{"header present", route.Match{Header: map[string]string{"x-beta": "*"}}, []string{"GET x/ X-Beta=2"}, []string{"GET x/"}},
		{"header absent", route.Match{Header: map[string]string{"x-beta": "!"}}, []string{"GET x/"}, []string{"GET x/ X-Beta=2"}},
		{"header regex", route.Match{Header: map[string]string{"x-beta": "~[12]"}}, []string{"GET x/ X-Beta=2"}, []string{"GET x/ X-Beta=12"}},
		{"query", route.Match{Query: map[string]string{"v": "a b"}}, []string{"GET x/?v=a+b", "GET x/?u=1&v=a%20b"}, []string{"GET x/", "GET x/?v=a"}},
		{"cookie", route.Match{Cookie: map[string]string{"c": "1"}}, []string{"GET x/ Cookie=b=2;c=1"}, []string{"GET x/ Cookie=c=2"}},
		{"client", route.Match{Client: []string{"10.0.0.0/8", "192.0.2.7"}}, []string{"GET x/"}, nil},
		{"another client", route.Match{Client: []string{"10.0.0.0/8"}}, nil, []string{"GET x/"}},
		{"when", route.Match{When: condition(`arg_v == "2"`)}, []string{"GET x/?v=2"}, []string{"GET x/?v=3"}},
		{"all weight", route.Match{Weight: weight(1)}, []string{"GET x/"}, nil},
		{"no weight", route.Match{Weight: weight(0)}, nil, []string{"GET x/"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			table := compile(t, route.Specific, entry("it", tc.m))
			for _, line := range tc.yes {
				if got := nameOf(table.Match(request(line))); got != "it" {
					t.Errorf("%s: not taken: %+v", line, table.Explain(request(line)))
				}
			}
			for _, line := range tc.no {
				if got := nameOf(table.Match(request(line))); got != "none" {
					t.Errorf("%s: taken", line)
				}
			}
		})
	}
}

func weight(share float64) *core.Percent {
	p := core.Percent(share)
	return &p
}

func TestTheMostSpecificRouteWins(t *testing.T) {
	entries := []route.Entry{
		entry("any", route.Match{}),
		entry("prefix", route.Match{Path: []string{"/a/**"}}),
		entry("regex", route.Match{Path: []string{"~/a/b.*"}}),
		entry("capture", route.Match{Path: []string{"/a/{id}"}}),
		entry("exact", route.Match{Path: []string{"/a/b"}}),
		entry("exact-post", route.Match{Path: []string{"/a/b"}, Method: []string{"POST"}}),
		entry("deep-prefix", route.Match{Path: []string{"/a/c/**"}}),
		entry("any-deep", route.Match{Path: []string{"/*/c/d"}}),
		entry("wild", route.Match{Host: []string{"*.example"}}),
		entry("wilder", route.Match{Host: []string{"*.b.example"}}),
		entry("host", route.Match{Host: []string{"h.b.example"}, Path: []string{"/only"}}),
	}
	table := compile(t, route.Specific, entries...)
	for line, want := range map[string]string{
		"GET x/a/b": "exact", "POST x/a/b": "exact-post", "GET x/a/z": "capture", "GET x/a/bb/c": "regex",
		"GET x/a/c/d/e": "deep-prefix", "GET x/a/c/d": "any-deep", "GET x/a/y/z": "prefix", "GET x/other": "any",
		"GET a.example/a/b": "wild", "GET a.b.example/": "wilder", "GET h.b.example/only": "host", "GET h.b.example/a": "wilder",
	} {
		if got := nameOf(table.Match(request(line))); got != want {
			t.Errorf("%s: took %s, due %s", line, got, want)
		}
	}
	listed := compile(t, route.Listed, entries[1:5]...)
	if got := nameOf(listed.Match(request("POST x/a/b"))); got != "prefix" {
		t.Errorf("order: listed took %s, due prefix", got)
	}
}

func TestCapturesAreNoted(t *testing.T) {
	table := compile(t, route.Specific,
		entry("segments", route.Match{Path: []string{"/u/{user}/f/{file...}"}}),
		entry("groups", route.Match{Path: []string{`~/v(?P<major>\d+)\.(?P<minor>\d+)`}}))
	for line, want := range map[string]string{
		"GET x/u/ann/f/a/b.txt": "[{user ann} {file a/b.txt}]", "GET x/u/ann/f": "[{user ann} {file }]",
		"GET x/v10.2": "[{major 10} {minor 2}]",
	} {
		x := request(line)
		table.Match(x)
		if got := fmt.Sprint(x.Captures); got != want {
			t.Errorf("%s: captured %s, due %s", line, got, want)
		}
	}
}

func TestMistakesAreToldWithWhatToWrite(t *testing.T) {
	for want, m := range map[string]route.Match{
		`route r: match.path "/a/**/b": ** may stand only at the end`:                    {Path: []string{"/a/**/b"}},
		`route r: match.path "a" must begin with / or, for a regular expression, with ~`: {Path: []string{"a"}},
		`{id} is not {name} with a name of its own`:                                      {Path: []string{"/{id}/{id}"}},
		`"a*": * and {name} stand for a whole segment`:                                   {Path: []string{"/a*"}},
		`missing closing )`: {Path: []string{"~(a"}},
		`unexpected )`:      {Path: []string{"~/x)|(?:/adm"}},
		`match.host "*": leave host out to match every host`:                      {Host: []string{"*"}},
		`match.host "a.*.b": * stands only at the beginning, as in *.example.org`: {Host: []string{"a.*.b"}},
		`match.host "a:80": leave the port out`:                                   {Host: []string{"a:80"}},
		`match.method "get": methods are in capitals: write GET`:                  {Method: []string{"get"}},
		`match.client "x" is neither an address nor a CIDR such as 10.0.0.0/8`:    {Client: []string{"x"}},
		`match.header.Host: write match.host`:                                     {Header: map[string]string{"Host": "a"}},
		`match.weight 200% is above 100%`:                                         {Weight: weight(2)},
	} {
		_, err := route.Compile([]route.Entry{entry("r", m)}, route.Specific)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "route r: ") {
			t.Errorf("%+v: got %v, due %s", m, err, want)
		}
	}
}

func TestRoutesThatNothingCanReachAreMistakes(t *testing.T) {
	get := route.Match{Path: []string{"/a/{id}"}, Method: []string{"GET", "HEAD"}}
	for _, tc := range []struct {
		name   string
		order  route.Order
		first  route.Match
		second route.Match
		dead   bool
	}{
		{"same path", route.Specific, route.Match{Path: []string{"/a/*"}}, route.Match{Path: []string{"/a/{x}"}}, true},
		{"same criteria", route.Specific, get, route.Match{Path: []string{"/a/*"}, Method: []string{"HEAD", "GET"}}, true},
		{"more criteria", route.Specific, route.Match{Path: []string{"/a/*"}}, get, false},
		{"more criteria, but later", route.Listed, route.Match{Path: []string{"/a/*"}}, get, true},
		{"weights", route.Specific, route.Match{Weight: weight(.1)}, route.Match{Weight: weight(.1)}, false},
		{"another host", route.Specific, route.Match{Host: []string{"a"}}, route.Match{Host: []string{"b"}}, false},
	} {
		_, err := route.Compile([]route.Entry{entry("one", tc.first), entry("two", tc.second)}, tc.order)
		if dead := err != nil && strings.Contains(err.Error(), "route two: never reached: route one takes"); dead != tc.dead {
			t.Errorf("%s: got %v, due an error: %v", tc.name, err, tc.dead)
		}
	}
}

func TestExplainSaysWhatMatchDoes(t *testing.T) {
	table := compile(t, route.Specific,
		entry("host", route.Match{Host: []string{"shop.example"}}),
		entry("beta", route.Match{Path: []string{"/a"}, Header: map[string]string{"x-beta": "1"}}),
		entry("post", route.Match{Path: []string{"/a"}, Method: []string{"POST"}}),
		entry("all", route.Match{Path: []string{"/**"}}),
		entry("none", route.Match{}))
	var got []string
	for _, v := range table.Explain(request("GET x/a")) {
		got = append(got, fmt.Sprintf("%s: %v %s", v.Route.Name, v.Matched, v.Reason))
	}
	want := []string{"host: false host x is not shop.example", "beta: false header x-beta is absent",
		"post: false method GET is not POST", "all: true ", "none: false not reached"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\ndue\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAWeightIsDrawnOnceForAnExchange(t *testing.T) {
	table := compile(t, route.Specific,
		entry("some", route.Match{Weight: weight(.1), Path: []string{"/a", "/a/**", "/**"}}), entry("rest", route.Match{}))
	took := 0
	for range 20_000 {
		x := request("GET x/a")
		r := table.Match(x)
		if again := table.Match(x); again != r {
			t.Fatalf("took %s, then %s", nameOf(r), nameOf(again))
		}
		if r.Name == "some" {
			took++
		}
		x.Release()
	}
	if took < 1600 || took > 2400 { // nine standard deviations
		t.Errorf("took %d of 20000, due about 2000", took)
	}
}
