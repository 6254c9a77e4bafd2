package timeout_test

import (
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/plugins/timeout"
)

func BenchmarkTotal(b *testing.B) {
	f, err := timeout.New(&timeout.Config{Total: core.Duration(time.Second)}, nil)
	if err != nil {
		b.Fatal(err)
	}
	h := core.Chain([]core.Link{{Name: "timeout", Filter: f}}, core.HandlerFunc(func(*core.Exchange) error { return nil }))
	x := core.NewExchange(nil, nil)
	b.ReportAllocs()
	for b.Loop() {
		if h.Handle(x) != nil {
			b.Fatal("the exchange failed")
		}
	}
}
