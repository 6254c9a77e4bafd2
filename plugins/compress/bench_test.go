package compress_test

import (
	"io"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/core"
)

// A page of 88 KB with encoders from the pool.
func BenchmarkEncode(b *testing.B) {
	f := build(b, nil)
	for _, coding := range []string{"gzip", "br", "zstd"} {
		b.Run(coding, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(page)))
			next := reply(page, "Content-Type: text/plain")
			buf := make([]byte, 32<<10)
			for b.Loop() {
				x := core.NewExchange(nil, nil)
				x.Request.Method = "GET"
				x.Request.Header.Add("Accept-Encoding", coding)
				if err := f.Handle(x, next); err != nil {
					b.Fatal(err)
				}
				for {
					if _, err := x.Response.Body.Reader().Read(buf); err == io.EOF {
						break
					}
				}
				x.Response.Body.Close()
				x.Release()
			}
		})
	}
}

// What every response pays that is not encoded.
func BenchmarkPass(b *testing.B) {
	f := build(b, nil)
	next := reply(strings.Repeat("x", 2000), "Content-Type: image/png")
	b.ReportAllocs()
	for b.Loop() {
		x := core.NewExchange(nil, nil)
		x.Request.Header.Add("Accept-Encoding", "gzip, br")
		if err := f.Handle(x, next); err != nil {
			b.Fatal(err)
		}
		x.Release()
	}
}
