package route

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/sluiceproxy/sluice/core"
)

// criterion is what a route asks beside host and path.
type criterion interface {
	holds(x *core.Exchange) bool
	// why says, for an exchange for which it does not hold, what it has and what is due.
	why(x *core.Exchange) string
	String() string
}

func criteriaOf(name string, m *Match) ([]criterion, error) {
	var out []criterion
	if len(m.Method) > 0 {
		list, err := newMethods(m.Method)
		if err != nil {
			return nil, err
		}
		out = append(out, list)
	}
	if m.Scheme != "" {
		out = append(out, scheme(m.Scheme))
	}
	for _, s := range []struct {
		kind   string
		values map[string]string
		get    func(x *core.Exchange, name string) (string, bool)
	}{{"header", m.Header, header}, {"query argument", m.Query, query}, {"cookie", m.Cookie, cookie}} {
		for _, name := range sortedKeys(s.values) {
			v, err := newValue(s.kind, name, s.values[name], s.get)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
	}
	if len(m.Client) > 0 {
		c, err := newClients(m.Client)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	if m.When != nil {
		out = append(out, when{m.When})
	}
	if m.Weight != nil {
		if *m.Weight > 1 {
			return nil, fmt.Errorf("match.weight %s is above 100%%", m.Weight)
		}
		out = append(out, weight{share: *m.Weight, salt: hash(name)})
	}
	return out, nil
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

type methods []string

func newMethods(list []string) (methods, error) {
	for _, m := range list {
		if up := strings.ToUpper(m); m == "" || m != up {
			return nil, fmt.Errorf("match.method %q: methods are in capitals: write %s", m, up)
		}
	}
	return methods(slices.Sorted(slices.Values(list))), nil
}

func (m methods) holds(x *core.Exchange) bool { return slices.Contains(m, x.Request.Method) }

func (m methods) why(x *core.Exchange) string {
	return fmt.Sprintf("method %s is not %s", x.Request.Method, oneOf(m))
}

func (m methods) String() string { return "method " + strings.Join(m, ", ") }

func oneOf(list []string) string {
	if len(list) == 1 {
		return list[0]
	}
	return "one of " + strings.Join(list, ", ")
}

type scheme string

func (s scheme) holds(x *core.Exchange) bool { return x.Request.Scheme == string(s) }

func (s scheme) why(x *core.Exchange) string {
	return fmt.Sprintf("scheme %s is not %s", x.Request.Scheme, string(s))
}

func (s scheme) String() string { return "scheme " + string(s) }

func header(x *core.Exchange, name string) (string, bool) { return x.Request.Header.Lookup(name) }
func query(x *core.Exchange, name string) (string, bool)  { return x.Request.Arg(name) }
func cookie(x *core.Exchange, name string) (string, bool) { return x.Request.Cookie(name) }

// value is a criterion on a header field, query argument or cookie.
type value struct {
	kind, name, want string
	re               *regexp.Regexp
	get              func(x *core.Exchange, name string) (string, bool)
}

func newValue(kind, name, want string, get func(*core.Exchange, string) (string, bool)) (*value, error) {
	v := &value{kind: kind, name: name, want: want, get: get}
	if kind == "header" && core.EqualFold(name, "Host") {
		return nil, fmt.Errorf("match.header.%s: write match.host", name)
	}
	if expr, ok := strings.CutPrefix(want, "~"); ok {
		re, err := compileWhole(expr)
		if err != nil {
			return nil, fmt.Errorf("match: %s %s: %w", kind, name, err)
		}
		v.re = re
	}
	return v, nil
}

func (v *value) holds(x *core.Exchange) bool {
	have, ok := v.get(x, v.name)
	switch {
	case v.want == "*":
		return ok
	case v.want == "!":
		return !ok
	case v.re != nil:
		return ok && v.re.MatchString(have)
	}
	return ok && have == v.want
}

func (v *value) why(x *core.Exchange) string {
	have, ok := v.get(x, v.name)
	switch {
	case !ok:
		return fmt.Sprintf("%s %s is absent", v.kind, v.name)
	case v.want == "!":
		return fmt.Sprintf("%s %s is present", v.kind, v.name)
	case v.re != nil:
		return fmt.Sprintf("%s %s is %q, which does not match %s", v.kind, v.name, have, v.want)
	}
	return fmt.Sprintf("%s %s is %q, not %q", v.kind, v.name, have, v.want)
}

func (v *value) String() string { return fmt.Sprintf("%s %s=%s", v.kind, v.name, v.want) }

type clients []netip.Prefix

func newClients(list []string) (clients, error) {
	var out clients
	for _, s := range list {
		if p, err := netip.ParsePrefix(s); err == nil {
			out = append(out, p.Masked())
			continue
		}
		ip, err := netip.ParseAddr(s)
		if err != nil {
			return nil, fmt.Errorf("match.client %q is neither an address nor a CIDR such as 10.0.0.0/8", s)
		}
		out = append(out, netip.PrefixFrom(ip, ip.BitLen()))
	}
	return out, nil
}

func (c clients) holds(x *core.Exchange) bool {
	for _, p := range c {
		if p.Contains(x.Client.IP) {
			return true
		}
	}
	return false
}

func (c clients) why(x *core.Exchange) string {
	return fmt.Sprintf("client %s is not in %s", x.Client.Addr, c.list())
}

func (c clients) String() string { return "client " + c.list() }

func (c clients) list() string {
	out := make([]string, len(c))
	for i, p := range c {
		out[i] = p.String()
	}
	return strings.Join(out, ", ")
}

type when struct{ c *core.Condition }

func (w when) holds(x *core.Exchange) bool { return w.c.Match(x) }
func (w when) why(*core.Exchange) string   { return "not " + w.c.String() }
func (w when) String() string              { return "when " + w.c.String() }

// weight takes a share of the exchanges. Whether it takes one is decided once for the exchange,
// however often it is asked, and for each route apart.
type weight struct {
	share core.Percent
	salt  uint64
}

func (w weight) holds(x *core.Exchange) bool {
	return float64(mix(x.Random()^w.salt)>>11)/(1<<53) < float64(w.share)
}

func (w weight) why(*core.Exchange) string {
	return "not among the " + w.share.String() + " of requests drawn"
}

func (w weight) String() string { return "weight " + w.share.String() }

// mix spreads the bits of v, so that numbers that differ little fall far apart.
func mix(v uint64) uint64 {
	v ^= v >> 33
	v *= 0xff51afd7ed558ccd
	return v ^ v>>33
}
