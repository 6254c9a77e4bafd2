package core_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/core"
)

// get returns an exchange for a GET of target.
func get(t testing.TB, target string, fields ...string) *core.Exchange {
	t.Helper()
	x := core.NewExchange(nil, slog.New(slog.DiscardHandler))
	x.Request.Method, x.Request.Scheme, x.Request.Proto = "GET", "http", core.HTTP11
	x.Request.Authority = "Shop.example.com:8080"
	x.Request.SetReceived(target, target)
	for i := 0; i+1 < len(fields); i += 2 {
		x.Request.Header.Add(fields[i], fields[i+1])
	}
	x.Listener = "web"
	x.Start = core.Now()
	x.Client = core.Client{
		Addr: "10.1.2.3", Port: 40000, IP: netip.MustParseAddr("10.1.2.3"),
		Peer:  netip.MustParseAddrPort("192.0.2.7:50000"),
		Local: netip.MustParseAddrPort("192.0.2.1:8080"),
		ID:    7, Nth: 2,
	}
	return x
}

func TestWhatIsRegisteredLastRunsFirstWhenTheExchangeEnds(t *testing.T) {
	x := get(t, "/")
	var order []string
	for _, name := range []string{"a", "b", "c"} {
		x.OnDone(core.DoneFunc(func(*core.Exchange) { order = append(order, name) }))
	}
	x.Finish()
	if got := strings.Join(order, ""); got != "cba" {
		t.Errorf("done ran in order %q, due \"cba\"", got)
	}
}

func TestAPanicAtTheEndOfAnExchangeIsLoggedAndTheOthersStillRun(t *testing.T) {
	var log bytes.Buffer
	x := core.NewExchange(nil, slog.New(slog.NewTextHandler(&log, nil)))
	ran := false
	x.OnDone(core.DoneFunc(func(*core.Exchange) { ran = true }))
	x.OnDone(core.DoneFunc(func(*core.Exchange) { panic("boom in done") }))
	x.Finish()
	if !ran || !strings.Contains(log.String(), "boom in done") {
		t.Errorf("the other ran: %v, due true; log %q, due to name the panic", ran, log.String())
	}
}

func TestAPanicOnAnotherGoroutineEndsNeitherTheProcessNorTheExchange(t *testing.T) {
	var log bytes.Buffer
	x := core.NewExchange(nil, slog.New(slog.NewTextHandler(&log, nil)))
	x.Go(func() { panic("boom beside") })
	x.Finish()
	if !strings.Contains(log.String(), "boom beside") {
		t.Errorf("log %q, due to name the panic", log.String())
	}
}

func TestFinishWaitsForWhatGoStarted(t *testing.T) {
	x := get(t, "/")
	release, done := make(chan struct{}), false
	x.Go(func() { <-release; done = true })
	x.OnDone(core.DoneFunc(func(*core.Exchange) {
		if !done {
			t.Error("done ran before the goroutine had ended")
		}
	}))
	close(release)
	x.Finish()
}

func TestAPooledExchangeKeepsNothing(t *testing.T) {
	x := get(t, "/a?b=c", "X-A", "1")
	x.Request.Body.SetString("body")
	x.Respond(200, "text/plain", "hello")
	x.Attempts = append(x.Attempts, core.Attempt{Endpoint: "e"})
	x.Captures = append(x.Captures, core.Capture{Name: "id", Value: "1"})
	x.SetVar("u", "v")
	x.SetID("me")
	x.Err = core.NewError(core.CodeNoRoute, nil)
	x.OnDone(core.DoneFunc(func(*core.Exchange) { t.Error("done of a released exchange ran") }))
	x.Release()
	if x.Request.Header.Len() != 0 || !x.Request.Body.None() || x.Request.RawPath() != "" || x.Response.Status != 0 ||
		len(x.Attempts) != 0 || len(x.Captures) != 0 || x.Err != nil {
		t.Errorf("something stayed in the released exchange: %+v", x)
	}
	if v, ok := x.Var("var_u"); ok {
		t.Errorf("the variable stayed: %q", v)
	}
	if v := x.ID(); v == "me" {
		t.Error("the id stayed")
	}
	x.Finish()
}

func TestAnExchangeMayBeReroutedTenTimes(t *testing.T) {
	x := get(t, "/")
	for i := range core.MaxReroutes {
		if err := x.Reroute(); !core.IsReroute(err) {
			t.Fatalf("reroute %d: %v, due a reroute", i+1, err)
		}
	}
	err := x.Reroute()
	if e, ok := core.AsError(err); !ok || e.Code != core.CodeRedirectLoop || core.IsReroute(err) {
		t.Errorf("reroute 11: %v, due redirect_loop", err)
	}
}

func TestAnIDIsMadeOnceAndIs32HexadecimalDigits(t *testing.T) {
	x := get(t, "/")
	id := x.ID()
	if len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" {
		t.Errorf("id %q, due 32 hexadecimal digits", id)
	}
	if again := x.ID(); again != id {
		t.Errorf("second id %q, due the first %q", again, id)
	}
	if other := get(t, "/").ID(); other == id {
		t.Errorf("two exchanges have the id %q", id)
	}
}

func TestAnErrorKnowsItsStatusSideAndCause(t *testing.T) {
	cause := errors.New("connection refused")
	e := core.NewError(core.CodeConnectRefused, cause)
	if e.StatusCode() != 502 || e.Side != core.SideUpstream || !errors.Is(e, cause) {
		t.Errorf("status %d side %v cause %v, due 502 upstream %v", e.StatusCode(), e.Side, e.Err, cause)
	}
	e.Upstream, e.Endpoint = "shop", "10.0.0.1:80"
	if got, due := e.Error(), "upstream shop: endpoint 10.0.0.1:80: connect_refused: connection refused"; got != due {
		t.Errorf("message %q, due %q", got, due)
	}
	e.Status = 599
	if e.StatusCode() != 599 {
		t.Errorf("status %d, due the error's own 599", e.StatusCode())
	}
}

func TestAnErrorIsFoundInsideOthers(t *testing.T) {
	inner := core.Errorf(core.CodeNoRoute, "path %s", "/x")
	wrapped := errors.Join(errors.New("other"), inner)
	if e, ok := core.AsError(wrapped); !ok || e != inner {
		t.Errorf("found %v %v, due the inner error", e, ok)
	}
	for _, err := range []error{nil, errors.New("plain")} {
		if e, ok := core.AsError(err); ok {
			t.Errorf("found %v in %v, due none", e, err)
		}
	}
}

func TestEveryCodeHasAStatusAndAMeaning(t *testing.T) {
	seen := map[core.Code]bool{}
	for _, info := range core.Codes() {
		if info.Status < 400 || info.Status > 599 || info.Meaning == "" || seen[info.Code] {
			t.Errorf("%+v: no error status, no meaning or given twice", info)
		}
		seen[info.Code] = true
		if info.Code.Status() != info.Status {
			t.Errorf("%s: status %d, due %d", info.Code, info.Code.Status(), info.Status)
		}
	}
	if got := core.Code("made_up").Status(); got != 500 {
		t.Errorf("status of an unknown code %d, due 500", got)
	}
}

type front struct {
	interim []int
	aborted bool
	gone    bool
}

func (f *front) Interim(_ *core.Exchange, status int, _ *core.Header) error {
	f.interim = append(f.interim, status)
	return nil
}
func (f *front) AbortRequestBody(*core.Exchange) { f.aborted = true }
func (f *front) ClientGone(*core.Exchange) bool  { return f.gone }

func TestTheFrontEndIsAskedThroughTheExchange(t *testing.T) {
	f := &front{gone: true}
	x := core.NewExchange(f, nil)
	if err := x.Interim(103, nil); err != nil || len(f.interim) != 1 || f.interim[0] != 103 {
		t.Errorf("interim responses %v %v, due one 103", f.interim, err)
	}
	x.AbortRequestBody()
	if !f.aborted || !x.ClientGone() {
		t.Errorf("aborted %v gone %v, due both", f.aborted, x.ClientGone())
	}
	alone := core.NewExchange(nil, nil)
	alone.AbortRequestBody()
	if err := alone.Interim(103, nil); err != nil || alone.ClientGone() {
		t.Errorf("without a front end: %v, gone %v", err, alone.ClientGone())
	}
}

func TestContinueIsSentOnceByWhoeverNeedsTheBodyFirst(t *testing.T) {
	for _, c := range []struct {
		name               string
		expects, delegated bool
		byReader           bool // a reader asks first
		reader, endpoint   bool // who is told to send it
	}{
		{"nobody waits", false, false, true, false, false},
		{"a reader needs the body", true, false, true, true, false},
		{"the endpoint says so", true, false, false, false, true},
		{"a reader leaves it to the endpoint", true, true, true, false, true},
	} {
		x := core.NewExchange(nil, nil)
		if c.expects {
			x.SetExpect()
		}
		if c.delegated {
			x.DelegateContinue()
		}
		if x.Expects() != c.expects {
			t.Errorf("%s: expects %v, due %v", c.name, x.Expects(), c.expects)
		}
		reader := c.byReader && x.MeetExpectation(false)
		endpoint := x.MeetExpectation(true)
		if reader != c.reader || endpoint != c.endpoint || x.Expects() || x.MeetExpectation(true) {
			t.Errorf("%s: reader %v endpoint %v, due %v %v and nothing more", c.name, reader, endpoint, c.reader, c.endpoint)
		}
	}
}

func TestAReroutedExchangeForgetsItsRouting(t *testing.T) {
	x := full(t)
	x.ResetRouting()
	if x.Route != nil || x.Upstream != nil || x.Endpoint != nil || x.Err != nil || len(x.Captures) != 0 || x.Response.Status != 0 {
		t.Errorf("route %v upstream %v endpoint %v error %v captures %v status %d are left",
			x.Route, x.Upstream, x.Endpoint, x.Err, x.Captures, x.Response.Status)
	}
	if x.Attempt() != 3 || x.AttemptAt(3) != nil || x.AttemptAt(-1) != nil || x.AttemptAt(2) != x.LastAttempt() {
		t.Errorf("the attempts are not those that were made: %v", x.Attempts)
	}
}
