package headers_test

import (
	"testing"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/plugins/headers"
)

// The usual four fields cost no allocation: their values are literals or variables that are text.
func BenchmarkSet(b *testing.B) {
	f := build(b, &headers.Config{
		Request: headers.Edits{Set: map[string]*core.Template{
			"X-Real-IP": tmpl(b, "$remote_addr"), "X-Proto": tmpl(b, "$scheme"),
		}},
		Response: headers.Edits{
			Remove: []string{"Server"},
			Set:    map[string]*core.Template{"Referrer-Policy": tmpl(b, "same-origin")},
		},
	})
	next := core.HandlerFunc(func(x *core.Exchange) error {
		x.Response.Header.Add("Server", "app")
		return nil
	})
	b.ReportAllocs()
	for b.Loop() {
		x := core.NewExchange(nil, nil)
		x.Client.Addr, x.Request.Scheme = "10.0.0.1", "https"
		if err := f.Handle(x, next); err != nil {
			b.Fatal(err)
		}
		x.Release()
	}
}
