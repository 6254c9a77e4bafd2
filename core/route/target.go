package route

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/core"
)

// To is where a route leads. Its short form is an upstream's name.
type To struct {
	// Upstream that gets every request.
	Upstream string `yaml:"upstream"`
	// Split divides requests among upstreams by weights relative to each other, such as
	// {shop: 90, shop-v2: 10}.
	Split map[string]int `yaml:"split"`
	// Sticky keeps a client at the upstream of a split that it got first.
	Sticky *Sticky `yaml:"sticky"`
}

// Sticky says by what a client is known again: one of the two.
type Sticky struct {
	// Cookie that the proxy sets and reads.
	Cookie string `yaml:"cookie"`
	// TTL of the cookie; 0 for as long as the browser runs. Default: 0.
	TTL core.Duration `yaml:"ttl"`
	// Header field whose value is hashed onto the weights.
	Header string `yaml:"header"`
}

// UnmarshalText takes the short form.
func (t *To) UnmarshalText(text []byte) error {
	t.Upstream = string(text)
	return nil
}

// Validate implements core.Validator.
func (t *To) Validate() error {
	if (t.Upstream == "") == (len(t.Split) == 0) {
		return errors.New("write the name of an upstream, or split: {NAME: WEIGHT, ...}")
	}
	if err := checkWeights(t.Split); t.Upstream == "" && err != nil {
		return err
	}
	s := t.Sticky
	switch {
	case s == nil:
	case t.Upstream != "":
		return errors.New("sticky needs a split")
	case (s.Cookie == "") == (s.Header == ""):
		return errors.New("sticky: write cookie or header, one of them")
	case s.Cookie != "" && !validCookie(s.Cookie):
		return fmt.Errorf("sticky.cookie %q is not a cookie name: use letters, digits, - and _", s.Cookie)
	}
	return nil
}

func validCookie(name string) bool {
	return (&http.Cookie{Name: name, Value: "v"}).Valid() == nil
}

const maxWeight = 1_000_000

func checkWeights(split map[string]int) error {
	total := 0
	for name, w := range split {
		if w < 0 || w > maxWeight {
			return fmt.Errorf("split.%s: weight %d is not between 0 and %d", name, w, maxWeight)
		}
		total += w
	}
	if total == 0 {
		return errors.New("split: the weights are all 0: nothing would be sent anywhere")
	}
	return nil
}

// Upstreams returns the names that t leads to, sorted.
func (t *To) Upstreams() []string {
	if t.Upstream != "" {
		return []string{t.Upstream}
	}
	names := make([]string, 0, len(t.Split))
	for name := range t.Split {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Target is a compiled To. It is safe for concurrent use.
type Target struct {
	single core.Upstream
	sticky *Sticky
	split  atomic.Pointer[split]
}

// split is an immutable set of choices.
type split struct {
	choices []choice
	total   uint64
}

type choice struct {
	upstream core.Upstream
	weight   uint64
	tag      string // the value of a sticky cookie
	cookie   string // the whole Set-Cookie
}

// NewTarget compiles to, which may be nil for a route without one; then it returns nil. find
// looks an upstream up by its name.
func NewTarget(to *To, find func(name string) core.Upstream) (*Target, error) {
	if to == nil {
		return nil, nil
	}
	if err := to.Validate(); err != nil {
		return nil, fmt.Errorf("to: %w", err)
	}
	t := &Target{sticky: to.Sticky}
	for _, name := range to.Upstreams() {
		if find(name) == nil {
			return nil, fmt.Errorf("to: there is no upstream %s", name)
		}
	}
	if to.Upstream != "" {
		t.single = find(to.Upstream)
		return t, nil
	}
	s := &split{}
	for _, name := range to.Upstreams() {
		w := uint64(to.Split[name])
		tag := tagOf(name)
		s.choices = append(s.choices, choice{upstream: find(name), weight: w, tag: tag, cookie: t.cookie(tag)})
		s.total += w
	}
	t.split.Store(s)
	return t, nil
}

// tagOf hides the upstream's name from clients and stays the same over reloads.
func tagOf(name string) string {
	return strconv.FormatUint(hash(name), 36)
}

func hash(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return h.Sum64()
}

func (t *Target) cookie(tag string) string {
	if t.sticky == nil || t.sticky.Cookie == "" {
		return ""
	}
	c := http.Cookie{Name: t.sticky.Cookie, Value: tag, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		MaxAge: int(t.sticky.TTL.Std() / time.Second)}
	return c.String()
}

// SetWeights moves traffic: requests that begin from now on are divided by the new weights. Names
// that are left out keep theirs. It is an error to name an upstream that is not in the split, and
// then nothing changes.
func (t *Target) SetWeights(weights map[string]int) error {
	for {
		old := t.split.Load()
		if old == nil {
			return errors.New("the route has no split")
		}
		next, err := old.with(weights)
		if err != nil {
			return err
		}
		if t.split.CompareAndSwap(old, next) {
			return nil
		}
	}
}

func (s *split) with(weights map[string]int) (*split, error) {
	next := &split{choices: slices.Clone(s.choices)}
	for name, w := range weights {
		i := slices.IndexFunc(next.choices, func(c choice) bool { return c.upstream.Name() == name })
		if i < 0 {
			return nil, fmt.Errorf("the split has no upstream %s", name)
		}
		if w < 0 || w > maxWeight {
			return nil, fmt.Errorf("split.%s: weight %d is not between 0 and %d", name, w, maxWeight)
		}
		next.choices[i].weight = uint64(w)
	}
	for _, c := range next.choices {
		next.total += c.weight
	}
	if next.total == 0 {
		return nil, errors.New("the weights are all 0: nothing would be sent anywhere")
	}
	return next, nil
}

// Choose returns the upstream for an exchange.
func (t *Target) Choose(x *core.Exchange) core.Upstream {
	s := t.split.Load()
	if s == nil {
		return t.single
	}
	if t.sticky == nil {
		return s.at(rand.Uint64N(s.total)).upstream
	}
	if t.sticky.Header != "" {
		if v, ok := x.Request.Header.Lookup(t.sticky.Header); ok {
			return s.at(mix(hash(v)) % s.total).upstream
		}
		return s.at(rand.Uint64N(s.total)).upstream
	}
	if c := s.byCookie(x, t.sticky.Cookie); c != nil {
		return c.upstream
	}
	return s.at(rand.Uint64N(s.total)).upstream
}

// at returns the choice at a point between 0 and the total.
func (s *split) at(point uint64) *choice {
	for i := range s.choices {
		c := &s.choices[i]
		if point < c.weight {
			return c
		}
		point -= c.weight
	}
	return &s.choices[len(s.choices)-1]
}

// byCookie returns the choice that the client's cookie names, nil when it has none, or one that
// gets nothing any more.
func (s *split) byCookie(x *core.Exchange, name string) *choice {
	tag, ok := x.Request.Cookie(name)
	if !ok {
		return nil
	}
	for i := range s.choices {
		if c := &s.choices[i]; c.tag == tag && c.weight > 0 {
			return c
		}
	}
	return nil
}

// Finish sets the sticky cookie on the response when the client has another one or none.
func (t *Target) Finish(x *core.Exchange) {
	s := t.split.Load()
	if s == nil || t.sticky == nil || t.sticky.Cookie == "" {
		return
	}
	for i := range s.choices {
		c := &s.choices[i]
		if c.upstream != x.Upstream {
			continue
		}
		if tag, _ := x.Request.Cookie(t.sticky.Cookie); tag != c.tag {
			x.Response.Header.Add("Set-Cookie", c.cookie)
		}
		return
	}
}
