package core_test

import (
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sluiceproxy/sluice/core"
)

func TestAForkSharesNothingThatOneOfTwoTriesMayChange(t *testing.T) {
	x := core.NewExchange(nil, nil)
	x.Request.Method = "GET"
	x.Request.Header.Add("A", "1")
	x.Request.Body.SetString("body")
	x.SetVar("v", "1")
	f := x.Fork()
	f.Request.Header.Set("A", "2")
	f.Request.Method = "HEAD"
	f.SetVar("v", "2")
	if p, err := io.ReadAll(f.Request.Body.Reader()); err != nil || string(p) != "body" {
		t.Fatalf("the fork's body is %q (%v), want %q", p, err, "body")
	}
	if got := x.Request.Header.Get("A") + x.Request.Method; got != "1GET" {
		t.Errorf("the exchange has become %s after its fork was changed, want 1GET", got)
	}
	if p, err := io.ReadAll(x.Request.Body.Reader()); err != nil || string(p) != "body" {
		t.Errorf("the exchange's body is %q (%v) after its fork's was read, want %q", p, err, "body")
	}
	if x.ID() != f.ID() {
		t.Errorf("the fork's id is %s, want %s", f.ID(), x.ID())
	}
	f.Abandon()
	x.Finish()
	x.Release()
}

func TestARequestThatCanBeSentOnlyOnceHasNoFork(t *testing.T) {
	x := core.NewExchange(nil, nil)
	x.Request.Body.Set(io.NopCloser(strings.NewReader("stream")), -1)
	if f := x.Fork(); f != nil {
		t.Error("an exchange with a body on its way was forked")
	}
	x.Request.Body.Clear()
	x.Request.Upgrade = "websocket"
	if f := x.Fork(); f != nil {
		t.Error("an exchange that asks for an upgrade was forked")
	}
}

// tracked is a body that notes its Close, and fills the trailer of the exchange that sent it.
type tracked struct {
	io.Reader
	of     *core.Exchange
	closed atomic.Bool
}

func (b *tracked) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		b.of.Response.Trailer.Add("Grpc-Status", "0")
		b.of.LastAttempt().BytesIn = 6
	}
	return n, err
}

func (b *tracked) Close() error {
	b.closed.Store(true)
	return nil
}

func answer(f *core.Exchange, endpoint string) *tracked {
	f.Attempts = append(f.Attempts, core.Attempt{Endpoint: endpoint})
	f.Response.Status = 200
	f.Response.Header.Add("From", endpoint)
	b := &tracked{Reader: strings.NewReader("answer"), of: f}
	f.Response.Body.Set(b, 6)
	return b
}

func TestTheExchangeAnswersAsTheForkItAdopted(t *testing.T) {
	x := core.NewExchange(nil, nil)
	x.Attempts = append(x.Attempts, core.Attempt{Endpoint: "before"})
	slow, fast := x.Fork(), x.Fork()
	var done []string
	x.OnDone(core.DoneFunc(func(*core.Exchange) { done = append(done, "x") }))
	slow.OnDone(core.DoneFunc(func(got *core.Exchange) {
		if got != slow {
			t.Error("what the loser registered ran with another exchange")
		}
	}))
	fast.OnDone(core.DoneFunc(func(got *core.Exchange) {
		if got != x {
			t.Error("what the winner registered ran with another exchange than the one that answered")
		}
		done = append(done, "fast")
	}))
	lost := answer(slow, "slow")
	answer(fast, "fast")

	x.Adopt(fast)
	slow.Abandon()
	if !lost.closed.Load() {
		t.Error("the loser's body was not closed")
	}
	if got := x.Response.Header.Get("From"); got != "fast" {
		t.Errorf("the answer came from %q, want fast", got)
	}
	if p, err := io.ReadAll(x.Response.Body.Reader()); err != nil || string(p) != "answer" {
		t.Errorf("the body is %q (%v), want %q", p, err, "answer")
	}
	if got := x.Response.Trailer.Get("Grpc-Status"); got != "0" {
		t.Errorf("the trailer Grpc-Status is %q after the body's end, want 0", got)
	}
	x.Finish()
	var order []string
	for _, a := range x.Attempts {
		order = append(order, a.Endpoint)
	}
	if got := strings.Join(order, " "); got != "before slow fast" {
		t.Errorf("attempts are %q, want %q", got, "before slow fast")
	}
	if got := x.LastAttempt().BytesIn; got != 6 {
		t.Errorf("the last attempt brought %d bytes, want the 6 that came after it was adopted", got)
	}
	if got := strings.Join(done, " "); got != "fast x" {
		t.Errorf("the Done list ran as %q, want %q", got, "fast x")
	}
	x.Release()
}

func TestAPanicOfAForkIsAnError(t *testing.T) {
	x := core.NewExchange(nil, nil)
	f := x.Fork()
	err := f.Try(core.HandlerFunc(func(*core.Exchange) error { panic("no") }))
	if e, ok := core.AsError(err); !ok || e.Code != core.CodeInternal || len(e.Stack) == 0 {
		t.Errorf("a panic became %v, want %s with its stack", err, core.CodeInternal)
	}
	f.Abandon()
}

// closer counts how often it was closed.
type closer struct{ n atomic.Int32 }

func (c *closer) Close() error {
	c.n.Add(1)
	return errors.New("ignored")
}

func TestCancelClosesWhatBlocks(t *testing.T) {
	x := core.NewExchange(nil, nil)
	var waiting, left, late closer
	if !x.OnCancel(&left) || !x.OnCancel(nil) || !x.OnCancel(&waiting) {
		t.Fatal("OnCancel says that the exchange is cancelled before Cancel")
	}
	x.Cancel()
	x.Cancel()
	if x.OnCancel(&late) || !x.Cancelled() {
		t.Error("the exchange is not cancelled after Cancel")
	}
	if l, w, n := left.n.Load(), waiting.n.Load(), late.n.Load(); l != 0 || w != 1 || n != 1 {
		t.Errorf("closed: %d times what had left, %d what waited, %d what came late; want 0, 1, 1", l, w, n)
	}
}

func TestCancellingAnExchangeCancelsTheForkItAdopted(t *testing.T) {
	x := core.NewExchange(nil, nil)
	f := x.Fork()
	answer(f, "a")
	x.Adopt(f)
	x.Cancel()
	if !f.Cancelled() {
		t.Error("the fork whose body is being sent was not cancelled")
	}
	x.Finish()
}
