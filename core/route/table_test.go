package route_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/route"
)

// reference is a route as the rule in the package's documentation sees it, written anew: it is
// sorted and scanned.
type reference struct {
	name, host string
	path       []string // segments; nil for none
	method     string
	listed     int
}

func (r *reference) rest() bool { return len(r.path) > 0 && r.path[len(r.path)-1] == "**" }

func (r *reference) takes(host, path, method string) bool {
	if r.host != "" && r.host != host && !(strings.HasPrefix(r.host, "*") && strings.HasSuffix(host, r.host[1:]) && len(host) >= len(r.host)) {
		return false
	}
	if r.method != "" && r.method != method {
		return false
	}
	if r.path == nil {
		return true
	}
	segments := strings.Split(path[1:], "/")
	for i, s := range r.path {
		if s == "**" {
			return true
		}
		if i >= len(segments) || s == "*" && segments[i] == "" || s != "*" && s != segments[i] {
			return false
		}
	}
	return len(segments) == len(r.path)
}

func (r *reference) rank() (host, path int) {
	switch {
	case r.host == "":
		host = 2
	case r.host[0] == '*':
		host = 1
	}
	switch {
	case r.path == nil:
		path = 2
	case r.rest():
		path = 1
	}
	return host, path
}

func compareReferences(a, b *reference) int {
	ah, ap := a.rank()
	bh, bp := b.rank()
	if ah != bh {
		return ah - bh
	}
	if ah == 1 && len(a.host) != len(b.host) {
		return len(b.host) - len(a.host)
	}
	if ap != bp {
		return ap - bp
	}
	kind := map[bool]int{true: 1, false: 0}
	for i := range min(len(a.path), len(b.path)) {
		if x, y := a.path[i] == "**", b.path[i] == "**"; x != y {
			return kind[x] - kind[y]
		}
		if x, y := a.path[i] == "*", b.path[i] == "*"; x != y {
			return kind[x] - kind[y]
		}
	}
	if (a.method == "") != (b.method == "") {
		return kind[a.method == ""] - kind[b.method == ""]
	}
	return a.listed - b.listed
}

func pick(rng *rand.Rand, from []string) string { return from[rng.IntN(len(from))] }

// randomTable returns the same routes twice: to be compiled, and for reference.
func randomTable(rng *rand.Rand) (entries []route.Entry, refs []*reference) {
	for i := range 1 + rng.IntN(14) {
		r := &reference{name: fmt.Sprint("r", i), listed: i,
			host:   pick(rng, []string{"", "", "a.x", "b.x", "*.x", "*.a.x"}),
			method: pick(rng, []string{"", "", "GET", "POST"})}
		m := route.Match{}
		if r.host != "" {
			m.Host = []string{r.host}
		}
		if r.method != "" {
			m.Method = []string{r.method}
		}
		if rng.IntN(5) > 0 {
			r.path = []string{}
			for range rng.IntN(4) {
				r.path = append(r.path, pick(rng, []string{"p", "q", "*"}))
			}
			if rng.IntN(3) == 0 || len(r.path) == 0 {
				r.path = append(r.path, "**")
			}
			m.Path = []string{"/" + strings.Join(r.path, "/")}
		}
		refs = append(refs, r)
		entries = append(entries, entry(r.name, m))
	}
	return entries, refs
}

func TestTheTableAgreesWithSortingAndScanning(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	tables := 0
	for range 3000 {
		entries, refs := randomTable(rng)
		order := route.Specific
		if rng.IntN(3) == 0 {
			order = route.Listed
		}
		table, err := route.Compile(entries, order)
		if err != nil {
			continue // some route can never be reached: rightly refused
		}
		tables++
		if order == route.Specific {
			slices.SortStableFunc(refs, compareReferences)
		}
		for range 30 {
			host := pick(rng, []string{"x", "a.x", "b.x", "c.x", "z.a.x", "y"})
			path := "/" + strings.Join([]string{pick(rng, []string{"p", "q", "r", ""}), pick(rng, []string{"p", "q", ""}), pick(rng, []string{"p", "s"})}[:1+rng.IntN(3)], "/")
			method := pick(rng, []string{"GET", "POST", "PUT"})
			x := request(method + " " + host + path)
			want := "none"
			for _, r := range refs {
				if r.takes(host, x.Request.Path(), method) {
					want = r.name
					break
				}
			}
			if got := nameOf(table.Match(x)); got != want {
				t.Fatalf("%s %s%s, order %s: took %s, due %s\n%+v", method, host, path, order, got, want, table.Routes())
			}
		}
	}
	if tables < 500 {
		t.Errorf("only %d tables compiled", tables)
	}
}

func FuzzMatch(f *testing.F) {
	for _, s := range []string{"/a/*", "/{x}/**", "/a/{rest...}", "~/a.*", "/%61", "//", "/a//b"} {
		f.Add(s, "/a/b")
	}
	f.Fuzz(func(t *testing.T, pattern, path string) {
		table, err := route.Compile([]route.Entry{entry("r", route.Match{Path: []string{pattern}})}, route.Specific)
		if err != nil {
			return
		}
		x := core.NewExchange(nil, nil)
		defer x.Release()
		x.Request.Method = "GET"
		x.Request.SetReceived(path, path)
		took := table.Match(x) != nil
		if explained := table.Explain(x)[0].Matched; explained != took {
			t.Errorf("pattern %q, path %q: Match %v, Explain %v", pattern, path, took, explained)
		}
	})
}

func manyRoutes(n int) []route.Entry {
	var entries []route.Entry
	for i := range n {
		m := route.Match{Host: []string{fmt.Sprintf("h%d.example", i%100)}, Path: []string{fmt.Sprintf("/api/s%d/**", i)}}
		entries = append(entries, entry(fmt.Sprint("r", i), m))
	}
	return entries
}

func TestAMatchAllocatesNothing(t *testing.T) {
	table := compile(t, route.Specific, manyRoutes(1000)...)
	x := request("GET h7.example/api/s107/x")
	table.Match(x)
	if n := testing.AllocsPerRun(100, func() { table.Match(x) }); n != 0 {
		t.Errorf("%.1f allocations", n)
	}
}

func BenchmarkMatch(b *testing.B) {
	for _, order := range []route.Order{route.Specific, route.Listed} {
		for _, n := range []int{10, 100, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", order, n), func(b *testing.B) {
				table := compile(b, order, manyRoutes(n)...)
				x := request(fmt.Sprintf("GET h%d.example/api/s%d/x", (n-1)%100, n-1))
				b.ReportAllocs()
				for b.Loop() {
					if table.Match(x) == nil {
						b.Fatal("no match")
					}
				}
			})
		}
	}
}
