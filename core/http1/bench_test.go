package http1_test

import (
	"io"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/http1"
)

const benchRequest = "GET /a/path?with=query HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) bench\r\n" +
	"Accept: */*\r\nX-User: alice\r\nCookie: session=0123456789abcdef\r\n\r\n"

const benchResponse = "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 23 Nov 2026 12:00:00 GMT\r\nContent-Type: text/plain\r\n" +
	"Content-Length: 76\r\nConnection: keep-alive\r\n\r\n"

func BenchmarkRequest(b *testing.B) {
	x := core.NewExchange(nil, nil)
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			x.Request.Header.Reset()
			x.Request.Authority = ""
			if _, err := http1.ParseRequest(benchRequest, &x.Request, &limits); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		out := make([]byte, 0, 4096)
		for b.Loop() {
			out = http1.AppendRequest(out[:0], &x.Request, 0)
		}
	})
}

func BenchmarkResponse(b *testing.B) {
	x := core.NewExchange(nil, nil)
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			x.Response.Header.Reset()
			if _, err := http1.ParseResponse(benchResponse, "GET", &x.Response, &limits); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		out := make([]byte, 0, 4096)
		f := http1.ResponseFraming{Length: 76, KeepAlive: true, ClientProto: core.HTTP11}
		for b.Loop() {
			out = http1.AppendResponse(out[:0], &x.Response, f)
		}
	})
}

func BenchmarkChunked(b *testing.B) {
	wire := strings.Repeat("400\r\n"+strings.Repeat("x", 1024)+"\r\n", 64) + "0\r\n\r\n"
	buf := make([]byte, 16<<10)
	b.SetBytes(64 << 10)
	b.ReportAllocs()
	for b.Loop() {
		var rd http1.Reader
		rd.Reset(&source{rest: wire, step: 1 << 20, end: io.EOF})
		var body http1.Body
		body.Init(&rd, &owner{}, http1.Chunked, 0, &core.Header{})
		for {
			if _, err := body.Read(buf); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
		rd.Reset(nil)
	}
}
