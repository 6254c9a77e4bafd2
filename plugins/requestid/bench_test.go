package requestid_test

import (
	"testing"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/plugins/requestid"
)

// One allocation: the id.
func BenchmarkNewID(b *testing.B) {
	f := build(b, func(*requestid.Config) {})
	next := core.HandlerFunc(func(*core.Exchange) error { return nil })
	b.ReportAllocs()
	for b.Loop() {
		x := core.NewExchange(nil, nil)
		if err := f.Handle(x, next); err != nil {
			b.Fatal(err)
		}
		x.Release()
	}
}
