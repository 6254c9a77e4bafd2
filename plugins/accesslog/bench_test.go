package accesslog_test

import (
	"log/slog"
	"testing"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/plugins/accesslog"
)

// What a request pays for its line, which allocates nothing; the writer's time is in it too.
func BenchmarkCombined(b *testing.B) { benchmark(b, "combined") }

// The id is the one allocation.
func BenchmarkJSON(b *testing.B) { benchmark(b, "json") }

func benchmark(b *testing.B, format string) {
	f := open(b, b.TempDir(), "log", func(c *accesslog.Config) { c.Format = format }, slog.New(slog.DiscardHandler))
	defer closed(b, f)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		x := core.NewExchange(nil, nil)
		x.Start = core.Now()
		x.Client.Addr, x.Client.ID = "192.0.2.7", uint64(x.Start)
		x.Request.Method, x.Request.Proto = "GET", core.HTTP11
		x.Request.SetReceived("/files/64k?a=1", "/files/64k?a=1")
		x.Request.Header.Add("User-Agent", "curl/8.0")
		x.Response.Status = 200
		for pb.Next() {
			f.Done(x)
		}
	})
}
