package upstream_test

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/upstream"
)

func open(t *testing.T, cfg *upstream.Config) *upstream.Upstream {
	t.Helper()
	u, err := upstream.New("shop", cfg, nil, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Close)
	return u
}

// get sends a request over a real connection and reads the answer.
func get(u *upstream.Upstream, path string) (status int, body string, err error) {
	x := core.NewExchange(nil, nil)
	defer x.Release()
	defer x.Finish()
	x.Request.Method, x.Request.Scheme, x.Request.Authority = "GET", "http", "shop.example.com"
	x.Request.Proto = core.HTTP11
	x.Request.SetTarget(path)
	if err := u.Handle(x); err != nil {
		return 0, "", err
	}
	status = x.Response.Status
	if r := x.Response.Body.Reader(); r != nil {
		text, err := io.ReadAll(r)
		r.Close()
		return status, string(text), err
	}
	return status, "", nil
}

func TestRequestsReachRealEndpointsByTurns(t *testing.T) {
	var addresses []string
	for _, name := range []string{"one", "two"} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, name+" "+r.Host+" "+r.URL.Path)
		}))
		defer s.Close()
		addresses = append(addresses, s.Listener.Addr().String())
	}
	u := open(t, config(nil, at(addresses...)))
	for i, want := range []string{"one", "two", "one", "two"} {
		status, body, err := get(u, "/a")
		if status != 200 || body != want+" shop.example.com /a" || err != nil {
			t.Errorf("request %d: got %d %q, error %v, want one from %s", i, status, body, err, want)
		}
	}
	for _, e := range u.Endpoints() {
		if e.InFlight() != 0 {
			t.Errorf("%s has %d in flight when all have ended", e.Address(), e.InFlight())
		}
	}
}

func TestAnEndpointThatDiesIsEjectedAndProbedWhenItIsBack(t *testing.T) {
	var dead atomic.Bool
	live := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer live.Close()
	dying := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if dead.Load() {
			panic(http.ErrAbortHandler)
		}
	}))
	defer dying.Close()
	a := dying.Listener.Addr().String()
	u := open(t, config(nil, at(live.Listener.Addr().String(), a), ejecting(forTime(30*time.Millisecond))))
	dead.Store(true)
	failures := 0
	for endpoint(t, u, a).State() != "ejected" {
		_, _, err := get(u, "/")
		if err == nil {
			continue
		}
		if failures++; failures > 5 {
			t.Fatal("5 requests failed and the endpoint is not ejected")
		}
		if e, ok := core.AsError(err); !ok || e.Code != core.CodeUpstreamReset || e.Endpoint != a {
			t.Fatalf("got the error %v, want upstream_reset of endpoint %s", err, a)
		}
	}
	dead.Store(false)
	eventually(t, "the probe that brings it back", func() bool {
		if status, _, err := get(u, "/"); status != 200 {
			t.Errorf("while one endpoint is out: got status %d, error %v", status, err)
		}
		return endpoint(t, u, a).State() == "up"
	})
}

func TestAnotherTryEndsTheOneBefore(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "a body that nobody reads")
	}))
	defer s.Close()
	u := open(t, config(nil, at(s.Listener.Addr().String())))
	x := core.NewExchange(nil, nil)
	x.Request.Method, x.Request.Authority, x.Request.Proto = "GET", "shop.example.com", core.HTTP11
	x.Request.SetTarget("/")
	for i := range 3 {
		x.Endpoint = nil
		if err := u.Handle(x); err != nil {
			t.Fatal(err)
		}
		if n := u.Endpoints()[0].InFlight(); n != 1 {
			t.Errorf("%d tries are under way at try %d, want only that", n, i+1)
		}
	}
	x.Response.Reset()
	x.Finish()
	x.Release()
}

func TestARefusedConnectionSaysWhere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := l.Addr().String()
	l.Close()
	u := open(t, config(nil, at(a)))
	_, _, err = get(u, "/")
	if e, ok := core.AsError(err); !ok || e.Code != core.CodeConnectRefused || e.Endpoint != a || e.Upstream != "shop" || e.Sent {
		t.Errorf("got the error %v, want connect_refused of upstream shop, endpoint %s, nothing sent", err, a)
	}
}

func TestABodyThatBreaksOffIsAFailureOfTheEndpoint(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100000")
		io.WriteString(w, "only this")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	defer s.Close()
	live := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer live.Close()
	a := s.Listener.Addr().String()
	u := open(t, config(nil, at(a, live.Listener.Addr().String()), ejecting()))
	for range 10 {
		get(u, "/")
	}
	if got := endpoint(t, u, a).State(); got != "ejected" {
		t.Errorf("after 5 bodies that broke off the endpoint is %s, want ejected", got)
	}
}
