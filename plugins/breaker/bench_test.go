package breaker_test

import (
	"io"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/plugins/breaker"
)

func streamed(x *core.Exchange) error {
	x.Response.Status = 200
	x.Response.Body.Set(body, 0)
	return nil
}

var body = io.NopCloser(strings.NewReader(""))

// closedPaths are breakers that stay closed.
var closedPaths = []struct {
	name string
	set  func(c *breaker.Config)
}{
	{"scope", func(c *breaker.Config) { c.Failures, c.Consecutive = 0.5, 5 }},
	{"endpoint", func(c *breaker.Config) { c.Failures, c.By = 0.5, "endpoint" }},
	{"route", func(c *breaker.Config) { c.Failures, c.By = 0.5, "route" }},
	{"template", func(c *breaker.Config) { c.Failures, c.By = 0.5, "$host-$http_x_tenant" }},
}

// once runs an exchange to its end.
func (p *proxy) once(t testing.TB) {
	x := p.exchange()
	x.Route = shop
	x.Request.Authority = "shop.example.com"
	x.Request.Header.Add("X-Tenant", "a")
	p.up.picked = p.up.picked[:0]
	if p.chain.Handle(x) != nil {
		t.Fatal("the exchange failed")
	}
	x.Finish()
	x.Release()
}

var shop = &core.Route{Name: "shop"}

func ready(t testing.TB, set func(c *breaker.Config)) *proxy {
	p := start(t, set)
	p.up.endpoints = []core.Endpoint{&endpoint{address: "10.0.0.1:8080"}}
	p.up.answer = streamed
	return p
}

// BenchmarkClosed includes making the exchange and the fake upstream; the case none has no filter.
func BenchmarkClosed(b *testing.B) {
	run := func(b *testing.B, p *proxy) {
		b.ReportAllocs()
		for b.Loop() {
			p.once(b)
		}
	}
	b.Run("none", func(b *testing.B) {
		p := ready(b, closedPaths[0].set)
		p.chain = core.HandlerFunc(p.up.send)
		run(b, p)
	})
	for _, c := range closedPaths {
		b.Run(c.name, func(b *testing.B) { run(b, ready(b, c.set)) })
	}
}
