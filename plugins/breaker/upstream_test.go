package breaker_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/plugins/breaker"
)

// endpoint can be picked.
type endpoint struct {
	address string
	down    bool
}

func (e *endpoint) Address() string { return e.address }
func (e *endpoint) Weight() int     { return 1 }
func (e *endpoint) Available() bool { return !e.down }
func (e *endpoint) State() string   { return "up" }
func (e *endpoint) InFlight() int   { return 0 }

// upstream stands for all below the filter: it picks the first endpoint that is not to be avoided,
// any when all are, and answers for it as the test says.
type upstream struct {
	endpoints []core.Endpoint
	answer    func(x *core.Exchange) error
	picked    []string
}

func (u *upstream) Name() string                { return "shop" }
func (u *upstream) Endpoints() []core.Endpoint  { return u.endpoints }
func (u *upstream) Handle(*core.Exchange) error { panic("the filter stands within the upstream") }

func (u *upstream) send(x *core.Exchange) error {
	if x.Endpoint == nil && len(u.endpoints) > 0 {
		i := slices.IndexFunc(u.endpoints, func(e core.Endpoint) bool {
			return e.Available() && !slices.Contains(x.Tried, e)
		})
		x.Endpoint = u.endpoints[max(i, 0)]
	}
	if x.Endpoint != nil {
		u.picked = append(u.picked, x.Endpoint.Address())
	}
	x.Attempts = append(x.Attempts, core.Attempt{Start: core.Now()})
	return u.answer(x)
}

// proxy is one filter over one upstream.
type proxy struct {
	filter *breaker.Filter
	up     *upstream
	chain  core.Handler
}

func start(t testing.TB, set func(c *breaker.Config)) *proxy {
	return startWith(t, core.ScopeUpstream, make(map[string]any), set)
}

func startWith(t testing.TB, scope core.Scope, kept map[string]any, set func(c *breaker.Config)) *proxy {
	t.Helper()
	kind := core.KindByName("breaker")
	c := kind.New().(*breaker.Config)
	set(c)
	if err := c.Validate(); err != nil {
		t.Fatalf("validate: %v", err)
	}
	f, err := kind.Build(c, &core.Env{Name: "breaker", Scope: scope, Owner: "shop",
		State: func(key string, make func() any) any {
			if _, ok := kept[key]; !ok {
				kept[key] = make()
			}
			return kept[key]
		}})
	if err != nil {
		t.Fatalf("build: %v", err)
	}
	p := &proxy{filter: f.(*breaker.Filter), up: new(upstream)}
	p.chain = core.Chain([]core.Link{{Name: "breaker", Filter: f}}, core.HandlerFunc(p.up.send))
	return p
}

// exchange returns an exchange as it comes to the filter.
func (p *proxy) exchange() *core.Exchange {
	x := core.NewExchange(nil, nil)
	x.Request.Method = "GET"
	x.Upstream = p.up
	return x
}

// send sends exchanges one after the other and returns how each ended: S for a 200, F for any
// other status, X for breaker_open, e for any other error.
func (p *proxy) send(answers ...func(x *core.Exchange) error) string {
	var out strings.Builder
	for _, answer := range answers {
		p.up.answer = answer
		x := p.exchange()
		out.WriteString(ending(x, p.chain.Handle(x)))
		x.Finish()
		x.Release()
	}
	return out.String()
}

// play sends an exchange for each letter: S succeeds, F fails with 500.
func (p *proxy) play(script string) string {
	var answers []func(x *core.Exchange) error
	for _, letter := range script {
		if letter == 'S' {
			answers = append(answers, status(200))
		} else {
			answers = append(answers, status(500))
		}
	}
	return p.send(answers...)
}

func ending(x *core.Exchange, err error) string {
	e, failed := core.AsError(err)
	switch {
	case failed && e.Code == core.CodeBreakerOpen:
		return "X"
	case err != nil:
		return "e"
	case x.Response.Status == 200:
		return "S"
	}
	return "F"
}

func status(code int) func(*core.Exchange) error {
	return func(x *core.Exchange) error {
		x.Respond(code, "", strconv.Itoa(code))
		return nil
	}
}

func fail(code core.Code) func(*core.Exchange) error {
	return func(*core.Exchange) error { return core.NewError(code, nil) }
}

func after(d time.Duration, answer func(*core.Exchange) error) func(*core.Exchange) error {
	return func(x *core.Exchange) error {
		time.Sleep(d)
		return answer(x)
	}
}

func on(t testing.TB, names ...string) []core.Outcome {
	t.Helper()
	list := make([]core.Outcome, len(names))
	for i, name := range names {
		if err := list[i].UnmarshalText([]byte(name)); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// consecutive is the smallest breaker: n failures in a row open it for a second.
func consecutive(n int) func(c *breaker.Config) {
	return func(c *breaker.Config) {
		c.Consecutive = n
		c.Open = core.DurationRange{Min: core.Duration(time.Second), Max: core.Duration(time.Second)}
	}
}
