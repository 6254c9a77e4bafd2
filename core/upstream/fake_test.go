package upstream_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/transport"
	"github.com/sluiceproxy/sluice/core/upstream"
)

// world is endpoints that answer without a network.
type world struct {
	t       testing.TB
	random  func() uint64
	log     syncBuffer
	mu      sync.Mutex // guards sites
	sites   map[string]*site
	current *upstream.Upstream
}

// site is what an address does.
type site struct {
	status int           // of the answer; 0 is 200
	err    *core.Error   // instead of an answer
	took   time.Duration // until the response head; slept only in place of a real network
	hold   bool          // the answer's body stays unread until the test ends it
	wait   chan struct{} // the answer waits for it to be closed
	seen   func(x *core.Exchange)

	calls  int
	opened int
	closed int
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, sites: map[string]*site{}}
	w.random = seeded(1)
	return w
}

func seeded(seed uint64) func() uint64 {
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(seed, seed))
	return func() uint64 {
		mu.Lock()
		defer mu.Unlock()
		return r.Uint64()
	}
}

func (w *world) at(address string) *site {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sites[address] == nil {
		w.sites[address] = &site{}
	}
	return w.sites[address]
}

// open makes a generation that replaces the current one, which the caller closes.
func (w *world) open(cfg *upstream.Config) *upstream.Upstream {
	w.t.Helper()
	u, err := upstream.NewFake("shop", cfg, nil, w.current, slog.New(slog.NewTextHandler(&w.log, nil)),
		func(address string) upstream.Sender {
			s := w.at(address)
			s.opened++
			return &fakePool{w, s}
		}, w.random)
	if err != nil {
		w.t.Fatalf("New: %v", err)
	}
	w.current = u
	return u
}

type fakePool struct {
	w *world
	s *site
}

func (p *fakePool) Open() int { return 0 }

func (p *fakePool) Close() { p.s.closed++ }

func (p *fakePool) RoundTrip(x *core.Exchange, end transport.Ender) error {
	p.w.mu.Lock()
	p.s.calls++
	s := *p.s
	p.w.mu.Unlock()
	if s.seen != nil {
		s.seen(x)
	}
	if s.wait != nil {
		<-s.wait
	}
	if s.err != nil {
		failure := *s.err
		return &failure
	}
	a := x.LastAttempt()
	a.Status = max(s.status, 200)
	a.Header = s.took
	x.Response.Status = a.Status
	if s.hold {
		return nil
	}
	a.Total = s.took
	if s.took == 0 {
		a.Total = core.Now().Sub(a.Start)
	}
	end.AttemptEnded(x, nil)
	return nil
}

// send sends one request and returns the endpoint that it went to.
func (w *world) send(u *upstream.Upstream, change ...func(*core.Exchange)) string {
	to, _ := w.try(u, change...)
	return to
}

func (w *world) try(u *upstream.Upstream, change ...func(*core.Exchange)) (string, error) {
	x := core.NewExchange(nil, nil)
	defer x.Release()
	x.Request.Method = "GET"
	x.Request.SetTarget("/")
	for _, c := range change {
		c(x)
	}
	err := u.Handle(x)
	to := ""
	if a := x.LastAttempt(); a != nil {
		to = a.Endpoint
	}
	x.Finish()
	return to, err
}

// hold sends a request of which the answer ends when the result is called.
func (w *world) hold(u *upstream.Upstream, change ...func(*core.Exchange)) (to string, end func()) {
	w.t.Helper()
	x := core.NewExchange(nil, nil)
	for _, c := range change {
		c(x)
	}
	if err := u.Handle(x); err != nil {
		w.t.Fatalf("held request: %v", err)
	}
	e := x.Endpoint.(*upstream.Endpoint)
	return e.Address(), func() {
		x.LastAttempt().Total = core.Now().Sub(x.LastAttempt().Start)
		e.AttemptEnded(x, nil)
		x.Finish()
		x.Release()
	}
}

// spread sends n requests and counts them by endpoint.
func (w *world) spread(u *upstream.Upstream, n int, change ...func(*core.Exchange)) map[string]int {
	got := map[string]int{}
	for range n {
		got[w.send(u, change...)]++
	}
	return got
}

func (w *world) state(u *upstream.Upstream, address string) string {
	w.t.Helper()
	return endpoint(w.t, u, address).State()
}

func (w *world) wantState(u *upstream.Upstream, address, want string) {
	w.t.Helper()
	if got := w.state(u, address); got != want {
		w.t.Fatalf("state of %s: got %s, want %s; log:\n%s", address, got, want, w.log.String())
	}
}

func endpoint(t testing.TB, u *upstream.Upstream, address string) core.Endpoint {
	t.Helper()
	for _, e := range u.Endpoints() {
		if e.Address() == address {
			return e
		}
	}
	t.Fatalf("upstream has no endpoint %s", address)
	return nil
}

// address names endpoint i, from 0: a:1, b:1 ...
func address(i int) string {
	if i < 26 {
		return string(rune('a'+i)) + ":1"
	}
	return fmt.Sprintf("e%d:1", i)
}

// config has endpoints of the given weights and the defaults, but for what change sets.
func config(weights []int, change ...func(*upstream.Config)) *upstream.Config {
	c := new(upstream.Config)
	c.Defaults()
	for i, weight := range weights {
		c.Endpoints = append(c.Endpoints, upstream.EndpointConfig{Address: address(i), Weight: weight})
	}
	for _, f := range change {
		f(c)
	}
	return c
}

// ones are n weights of 1.
func ones(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = 1
	}
	return out
}

func balance(policy string) func(*upstream.Config) {
	return func(c *upstream.Config) { c.Balance.Policy = policy }
}

func balanceHash(t testing.TB, table string) func(*upstream.Config) {
	key, err := core.ParseTemplate("$http_x_key")
	if err != nil {
		t.Fatal(err)
	}
	return func(c *upstream.Config) {
		c.Balance.Policy, c.Balance.Table, c.Balance.Key = "hash", table, key
	}
}

func ejecting(change ...func(*upstream.Eject)) func(*upstream.Config) {
	return func(c *upstream.Config) {
		c.Eject = new(upstream.Eject)
		c.Eject.Defaults()
		for _, f := range change {
			f(c.Eject)
		}
	}
}

func key(k string) func(*core.Exchange) {
	return func(x *core.Exchange) { x.Request.Header.Set("X-Key", k) }
}

func not(addresses ...core.Endpoint) func(*core.Exchange) {
	return func(x *core.Exchange) { x.Tried = append(x.Tried, addresses...) }
}

// syncBuffer is a log that may be read while it is written.
type syncBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
