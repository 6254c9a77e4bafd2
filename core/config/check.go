package config

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/config/decode"
	"github.com/sluiceproxy/sluice/core/route"
)

// check looks at what one section says of another. root is the document as merged.
func (l *loader) check(root *decode.Node) {
	if len(l.file.Listeners) == 0 {
		l.fail(root.Field("listeners").Pos, nil, "there is no listener: add one, such as web: \":8080\"")
	}
	l.checkAddresses(root.Get("listeners"))
	l.checkRoutes(root)
	l.warnUnused(root)
}

// checkAddresses finds listeners that cannot be bound at the same time.
func (l *loader) checkAddresses(listeners *decode.Node) {
	for i, f := range listeners.Fields {
		for _, before := range listeners.Fields[:i] {
			a, b := l.file.Listeners[before.Key].Address, l.file.Listeners[f.Key].Address
			if sameAddress(a, b) {
				l.fail(f.Value.Find(b), (*decode.Path)(nil).Key("listeners").Key(f.Key), fmt.Sprintf(
					"the address %s is taken by the listener %s (%s) at %s", b, before.Key, a, before.Pos))
			}
		}
	}
}

// sameAddress reports whether two addresses collide: they are equal, or their port is and one of
// them is every address of the machine. The system chooses another port for each 0.
func sameAddress(a, b string) bool {
	if strings.HasPrefix(a, "unix:") || strings.HasPrefix(b, "unix:") {
		return a == b
	}
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	return hostA == hostB || anyAddress(hostA) || anyAddress(hostB)
}

func anyAddress(host string) bool { return host == "" || host == "0.0.0.0" || host == "::" }

// checkRoutes finds names that are used twice, and names of what does not exist.
func (l *loader) checkRoutes(root *decode.Node) {
	routes := root.Get("routes")
	if routes == nil {
		return
	}
	listeners, upstreams := keys(root.Get("listeners")), keys(root.Get("upstreams"))
	items := asList(routes)
	if len(items) != len(l.file.Routes) {
		return // the list itself did not decode
	}
	first := make(map[string]decode.Pos, len(items))
	for i, cfg := range l.file.Routes {
		n := items[i]
		if cfg == nil || n.Kind != decode.Map || n.Get("name") == nil {
			continue // which was told already
		}
		at := (*decode.Path)(nil).Key("routes").Index(i, cfg.Name)
		name := n.Field("name")
		if before, twice := first[cfg.Name]; twice {
			l.fail(name.Pos, at, fmt.Sprintf("the name %q is taken by the route at %s: choose another", cfg.Name, before))
		}
		first[cfg.Name] = name.Pos
		for _, listener := range cfg.Listeners {
			l.mustExist("listener", listener, listeners, n.Get("listeners"), at.Key("listeners"))
		}
		if cfg.To == nil {
			continue
		}
		for _, upstream := range cfg.To.Upstreams() {
			l.mustExist("upstream", upstream, upstreams, n.Get("to"), at.Key("to"))
		}
	}
	if len(l.errs) == 0 {
		l.checkTables(items)
	}
}

// checkTables compiles the routes of each listener, so that a bad pattern and a route that is never
// reached have a place.
func (l *loader) checkTables(items []*decode.Node) {
	seen := make(map[string]bool) // a route of several listeners is wrong once
	for _, name := range slices.Sorted(maps.Keys(l.file.Listeners)) {
		var entries []route.Entry
		for _, cfg := range l.file.Routes {
			if len(cfg.Listeners) == 0 || slices.Contains(cfg.Listeners, name) {
				entries = append(entries, route.Entry{Config: cfg, Route: &core.Route{Name: cfg.Name}})
			}
		}
		_, err := route.Compile(entries, route.Order(l.file.Listeners[name].Order))
		if err == nil {
			continue
		}
		for _, err := range flatten(err) {
			if text := err.Error(); !seen[text] {
				seen[text] = true
				l.failRoute(items, text)
			}
		}
	}
}

// failRoute notes an error that begins with the name of a route.
func (l *loader) failRoute(items []*decode.Node, text string) {
	for i, cfg := range l.file.Routes {
		msg, ok := strings.CutPrefix(text, "route "+cfg.Name+": ")
		if !ok {
			continue
		}
		where := items[i]
		if match := where.Get("match"); match != nil {
			where = match
		}
		l.fail(where.Pos, (*decode.Path)(nil).Key("routes").Index(i, cfg.Name), msg)
		return
	}
	l.fail(decode.Pos{File: l.file.name}, nil, text)
}

func (l *loader) mustExist(what, name string, known []string, n *decode.Node, at *decode.Path) {
	if !slices.Contains(known, name) {
		l.fail(n.Find(name), at, fmt.Sprintf("unknown %s %q%s", what, name, decode.Hint(name, known)))
	}
}

// warnUnused warns of upstreams whose names stand nowhere: filters may refer to one as well.
func (l *loader) warnUnused(root *decode.Node) {
	upstreams := root.Get("upstreams")
	if upstreams == nil {
		return
	}
	used := make(map[string]bool)
	for _, key := range []string{"listeners", "routes", "filters"} {
		root.Get(key).Texts(func(s string) { used[s] = true })
	}
	for _, f := range upstreams.Fields {
		f.Value.Get("filters").Texts(func(s string) { used[s] = true })
	}
	for _, f := range upstreams.Fields {
		if !used[f.Key] {
			l.file.Warnings = append(l.file.Warnings, &Error{Pos: f.Pos, Path: "upstreams." + f.Key, Msg: "no route refers to it"})
		}
	}
}

// keys returns the keys of a mapping as they are written, sorted: what did not decode is there too.
func keys(n *decode.Node) []string {
	if n == nil || n.Kind != decode.Map {
		return nil
	}
	names := make([]string, 0, len(n.Fields))
	for _, f := range n.Fields {
		names = append(names, f.Key)
	}
	slices.Sort(names)
	return names
}
