package retry_test

import (
	"testing"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/plugins/retry"
)

// BenchmarkAnExchangeThatSucceeds is what the filter costs nearly every request.
func BenchmarkAnExchangeThatSucceeds(b *testing.B) {
	f := build(b, func(c *retry.Config) { c.On = on(b, "5xx", "connect", "reset") })
	h := core.Chain([]core.Link{{Name: "retry", Filter: f}}, core.HandlerFunc(func(x *core.Exchange) error {
		x.Response.Status = 200
		return nil
	}))
	x := exchange("GET")
	b.ReportAllocs()
	for b.Loop() {
		if h.Handle(x) != nil {
			b.Fatal("the exchange failed")
		}
	}
}

// BenchmarkAnExchangeThatCouldBeHedged runs on a fork of the exchange and a goroutine of its own.
func BenchmarkAnExchangeThatCouldBeHedged(b *testing.B) {
	f := build(b, hedging(b, "1s", nil))
	h := core.Chain([]core.Link{{Name: "retry", Filter: f}}, core.HandlerFunc(func(x *core.Exchange) error {
		x.Response.Status = 200
		return nil
	}))
	b.ReportAllocs()
	for b.Loop() {
		x := exchange("GET")
		if h.Handle(x) != nil {
			b.Fatal("the exchange failed")
		}
		x.Finish()
		x.Release()
	}
}

func TestAnExchangeThatSucceedsAllocatesNothing(t *testing.T) {
	f := build(t, func(c *retry.Config) { c.On = on(t, "5xx", "connect", "reset") })
	h := core.Chain([]core.Link{{Name: "retry", Filter: f}}, core.HandlerFunc(func(x *core.Exchange) error {
		x.Response.Status = 200
		return nil
	}))
	x := exchange("GET")
	if n := testing.AllocsPerRun(100, func() { _ = h.Handle(x) }); n != 0 {
		t.Errorf("an exchange that succeeds makes %v allocations, want 0", n)
	}
}
