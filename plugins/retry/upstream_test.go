package retry_test

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/plugins/retry"
)

// endpoint is a name that can be picked.
type endpoint string

func (e endpoint) Address() string { return string(e) }
func (e endpoint) Weight() int     { return 1 }
func (e endpoint) Available() bool { return true }
func (e endpoint) State() string   { return "up" }
func (e endpoint) InFlight() int   { return 0 }

// upstream stands for all below the filter: it picks the first endpoint that was not tried, and
// answers as the test says.
type upstream struct {
	endpoints []core.Endpoint
	answer    func(x *core.Exchange, nth int) error // nth call, from 1

	mu    sync.Mutex // guards calls
	calls []call
}

type call struct {
	endpoint string
	at       time.Duration // since the exchange began
	body     string
}

func newUpstream(answer func(x *core.Exchange, nth int) error) *upstream {
	return &upstream{endpoints: []core.Endpoint{endpoint("a"), endpoint("b"), endpoint("c")}, answer: answer}
}

func (u *upstream) Handle(x *core.Exchange) error {
	for _, e := range u.endpoints {
		if x.Endpoint == nil && !slices.Contains(x.Tried, e) {
			x.Endpoint = e
		}
	}
	if x.Endpoint == nil {
		x.Endpoint = u.endpoints[0]
	}
	c := call{endpoint: x.Endpoint.Address(), at: core.Now().Sub(x.Start)}
	if r := x.Request.Body.Reader(); r != nil {
		p, _ := io.ReadAll(r)
		c.body = string(p)
	}
	x.Attempts = append(x.Attempts, core.Attempt{Endpoint: c.endpoint, Start: core.Now()})
	u.mu.Lock()
	u.calls = append(u.calls, c)
	nth := len(u.calls)
	u.mu.Unlock()
	return u.answer(x, nth)
}

// picked lists the endpoints of the calls in order.
func (u *upstream) picked() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	var out []string
	for _, c := range u.calls {
		out = append(out, c.endpoint)
	}
	return strings.Join(out, " ")
}

func status(code int) func(*core.Exchange, int) error {
	return func(x *core.Exchange, _ int) error { return respond(x, code) }
}

func respond(x *core.Exchange, code int) error {
	x.Respond(code, "", "from "+x.Endpoint.Address())
	return nil
}

func failure(code core.Code, sent bool) error {
	e := core.NewError(code, nil)
	e.Sent = sent
	return e
}

// during waits as a transport would: until d has passed or the exchange is cancelled.
func during(x *core.Exchange, d time.Duration) error {
	woken := make(waker)
	x.OnCancel(woken)
	defer x.OnCancel(nil)
	select {
	case <-time.After(d):
		return nil
	case <-woken:
		return core.NewError(core.CodeCancelled, nil)
	}
}

type waker chan struct{}

func (w waker) Close() error {
	close(w)
	return nil
}

// client is a front end whose client may go away.
type client struct{ gone bool }

func (c *client) Interim(*core.Exchange, int, *core.Header) error { return nil }
func (c *client) AbortRequestBody(*core.Exchange)                 {}
func (c *client) ClientGone(*core.Exchange) bool                  { return c.gone }

// build makes the filter with what set changes in the defaults.
func build(t testing.TB, set func(c *retry.Config)) *retry.Filter {
	t.Helper()
	kept := make(map[string]any)
	return buildWith(t, set, kept)
}

func buildWith(t testing.TB, set func(c *retry.Config), kept map[string]any) *retry.Filter {
	t.Helper()
	kind := core.KindByName("retry")
	c := kind.New().(*retry.Config)
	set(c)
	if err := c.Validate(); err != nil {
		t.Fatalf("validate: %v", err)
	}
	f, err := kind.Build(c, &core.Env{Name: "retry", Scope: core.ScopeUpstream, Owner: "shop",
		State: func(key string, make func() any) any {
			if _, ok := kept[key]; !ok {
				kept[key] = make()
			}
			return kept[key]
		}})
	if err != nil {
		t.Fatalf("build: %v", err)
	}
	return f.(*retry.Filter)
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

// exchange returns a GET as the front end would hand it over.
func exchange(method string) *core.Exchange {
	x := core.NewExchange(&client{}, nil)
	x.Start = core.Now()
	x.Request.Method = method
	return x
}

// result describes how an exchange ended.
func result(x *core.Exchange, err error) string {
	if err == nil {
		return strconv.Itoa(x.Response.Status)
	}
	if e, ok := core.AsError(err); ok {
		return string(e.Code)
	}
	return fmt.Sprintf("untyped error %v", err)
}

// run sends one exchange through the filter to u and returns how it ended.
func run(f core.Filter, x *core.Exchange, u core.Handler) string {
	h := core.Chain([]core.Link{{Name: "retry", Kind: "retry", Filter: f}}, u)
	return result(x, h.Handle(x))
}
