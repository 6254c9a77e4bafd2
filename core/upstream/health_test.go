package upstream_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/upstream"
)

func health(change ...func(*upstream.Health)) func(*upstream.Config) {
	return func(c *upstream.Config) {
		c.Health = new(upstream.Health)
		c.Health.Defaults()
		c.Health.Path, c.Health.Every = "/healthz", core.Duration(5*time.Millisecond)
		for _, f := range change {
			f(c.Health)
		}
	}
}

// origin is a server whose answer to health checks can be changed.
type origin struct {
	address string
	status  atomic.Int64
	checks  atomic.Int64
	last    atomic.Pointer[http.Request]
}

func newOrigin(t *testing.T) *origin {
	o := &origin{}
	o.status.Store(200)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.checks.Add(1)
		o.last.Store(r.Clone(r.Context()))
		w.WriteHeader(int(o.status.Load()))
		io.WriteString(w, "all is well")
	}))
	t.Cleanup(s.Close)
	o.address = s.Listener.Addr().String()
	return o
}

func at(addresses ...string) func(*upstream.Config) {
	return func(c *upstream.Config) {
		c.Endpoints = nil
		for _, a := range addresses {
			c.Endpoints = append(c.Endpoints, upstream.EndpointConfig{Address: a, Weight: 1})
		}
	}
}

// eventually waits for what another goroutine is to bring about.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("never came: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func (w *world) awaitState(t *testing.T, u *upstream.Upstream, address, want string) {
	t.Helper()
	eventually(t, address+" is "+want, func() bool { return w.state(u, address) == want })
}

func TestHealthChecksTakeAnEndpointOutAndBringItBack(t *testing.T) {
	good, bad := newOrigin(t), newOrigin(t)
	w := newWorld(t)
	u := w.open(config(nil, at(good.address, bad.address), health()))
	defer u.Close()
	eventually(t, "first checks", func() bool { return good.checks.Load() > 0 && bad.checks.Load() > 0 })
	w.wantState(u, bad.address, "up")
	bad.status.Store(503)
	w.awaitState(t, u, bad.address, "unhealthy")
	if got := w.spread(u, 10); got[good.address] != 10 {
		t.Errorf("one endpoint is unhealthy: got %v", got)
	}
	bad.status.Store(204)
	w.awaitState(t, u, bad.address, "up")
	log := w.log.String()
	for _, want := range []string{
		"endpoint " + bad.address + " of shop is unhealthy: GET /healthz: status 503",
		"endpoint " + bad.address + " of shop is healthy again",
	} {
		if strings.Count(log, want) != 1 {
			t.Errorf("log does not say once %q:\n%s", want, log)
		}
	}
}

func TestAnEndpointThatIsHealthyAgainStartsSlowlyAndServesThoseThatWait(t *testing.T) {
	bad := newOrigin(t)
	bad.status.Store(500)
	w := newWorld(t)
	u := w.open(config(nil, at(newOrigin(t).address, bad.address), health(), limits(upstream.Limits{EndpointRequests: 1, Pending: 1}),
		func(c *upstream.Config) { c.SlowStart = core.Duration(time.Hour) }))
	defer u.Close()
	w.awaitState(t, u, bad.address, "unhealthy")
	busy := u.Endpoints()[0].Address()
	w.at(busy).hold = true
	_, end := w.hold(u)
	defer end()
	waiter := make(chan string)
	go func() { waiter <- w.send(u) }()
	bad.status.Store(200)
	if to := <-waiter; to != bad.address {
		t.Errorf("the request that waited went to %s, want the endpoint that is healthy again", to)
	}
	w.wantState(u, bad.address, "slow_start")
}

func TestTheFirstCheckDecidesAlone(t *testing.T) {
	bad := newOrigin(t)
	bad.status.Store(500)
	w := newWorld(t)
	u := w.open(config(nil, at(bad.address), health(func(h *upstream.Health) {
		h.Every, h.Unhealthy = core.Duration(time.Hour), 100
	})))
	defer u.Close()
	w.awaitState(t, u, bad.address, "unhealthy")
	if to := w.send(u); to != bad.address {
		t.Errorf("the only endpoint is unhealthy: the request went to %q, want it used all the same", to)
	}
}

func TestWhatAHealthCheckSendsAndExpects(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*upstream.Health)
		want   string
	}{
		{"a status that is listed", func(h *upstream.Health) { h.Status = []upstream.StatusRange{{From: 200, To: 200}} }, "up"},
		{"a status that is not", func(h *upstream.Health) { h.Status = []upstream.StatusRange{{From: 204, To: 299}} }, "unhealthy"},
		{"text that is there", func(h *upstream.Health) { h.Contains = "is well" }, "up"},
		{"text that is not", func(h *upstream.Health) { h.Contains = "is lost" }, "unhealthy"},
		{"HEAD with fields", func(h *upstream.Health) {
			h.Method, h.Host, h.Headers = "HEAD", "shop.internal", map[string]string{"X-From": "proxy"}
		}, "up"},
	} {
		o := newOrigin(t)
		w := newWorld(t)
		u := w.open(config(nil, at(o.address), health(c.change)))
		eventually(t, "an end of the first check", func() bool { return o.checks.Load() > 1 })
		w.wantState(u, o.address, c.want)
		if r := o.last.Load(); strings.HasPrefix(c.name, "HEAD") &&
			(r.Method != "HEAD" || r.Host != "shop.internal" || r.Header.Get("X-From") != "proxy" || r.URL.Path != "/healthz") {
			t.Errorf("%s: sent %s %s to host %s with %v", c.name, r.Method, r.URL, r.Host, r.Header)
		}
		u.Close()
	}
}

func TestACheckWithoutAPathIsAConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := l.Addr().String()
	w := newWorld(t)
	u := w.open(config(nil, at(a), health(func(h *upstream.Health) { h.Path = "" })))
	defer u.Close()
	w.wantState(u, a, "up")
	l.Close()
	w.awaitState(t, u, a, "unhealthy")
}

func TestChecksGoOnOverAReloadUnlessTheyChange(t *testing.T) {
	o := newOrigin(t)
	o.status.Store(500)
	rare := health(func(h *upstream.Health) { h.Every = core.Duration(time.Hour) })
	w := newWorld(t)
	first := w.open(config(nil, at(o.address), rare))
	w.awaitState(t, first, o.address, "unhealthy")

	same := w.open(config(nil, at(o.address), rare, balance("least")))
	first.Close()
	w.wantState(same, o.address, "unhealthy")
	if n := o.checks.Load(); n != 1 {
		t.Errorf("%d checks after a reload that did not change them, want the 1 from before", n)
	}

	o.status.Store(200)
	changed := w.open(config(nil, at(o.address), health(func(h *upstream.Health) { h.Healthy = 1 })))
	same.Close()
	w.awaitState(t, changed, o.address, "up")

	o.status.Store(500)
	w.awaitState(t, changed, o.address, "unhealthy")
	none := w.open(config(nil, at(o.address)))
	changed.Close()
	w.wantState(none, o.address, "up")
	none.Close()
	n := o.checks.Load()
	time.Sleep(20 * time.Millisecond)
	if now := o.checks.Load(); now != n {
		t.Errorf("%d checks after the last generation with checks was closed", now-n)
	}
}
