package compress_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/plugins/compress"
)

func build(t testing.TB, change func(*compress.Config)) core.Filter {
	t.Helper()
	c := new(compress.Config)
	c.Defaults()
	if change != nil {
		change(c)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	f, err := compress.New(c, &core.Env{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// page is text worth compressing.
var page = strings.Repeat("All work and no play makes Jack a dull boy.\n", 2000)

// decoder returns a reader of what was encoded as coding says.
func decoder(t testing.TB, coding string, r io.Reader) io.Reader {
	t.Helper()
	switch coding {
	case "gzip":
		z, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		return z
	case "br":
		return brotli.NewReader(r)
	case "zstd":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		return z
	}
	return r
}

// reply is an endpoint's answer: 200 with fields and the body, whose length is known.
func reply(body string, fields ...string) core.HandlerFunc {
	return func(x *core.Exchange) error {
		x.Response.Status = 200
		x.Response.Body.SetString(body)
		for _, field := range fields {
			name, value, _ := strings.Cut(field, ": ")
			x.Response.Header.Add(name, value)
		}
		return nil
	}
}

// get runs GET with an Accept-Encoding and returns the exchange, which the test's end releases.
func get(t testing.TB, f core.Filter, accept string, next core.HandlerFunc) *core.Exchange {
	t.Helper()
	x := core.NewExchange(nil, nil)
	t.Cleanup(x.Release)
	x.Request.Method = "GET"
	if accept != "" {
		x.Request.Header.Add("Accept-Encoding", accept)
	}
	if err := f.Handle(x, next); err != nil {
		t.Fatal(err)
	}
	return x
}

func TestTheBodyDecodesToWhatTheEndpointSent(t *testing.T) {
	f := build(t, nil)
	noise := make([]byte, 300<<10)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	for _, coding := range []string{"gzip", "br", "zstd"} {
		for name, body := range map[string]string{"page": page, "noise": string(noise), "long page": strings.Repeat(page, 10)} {
			for range 2 { // the second time with an encoder that was used
				x := get(t, f, coding, reply(body, "Content-Type: text/plain"))
				if got := x.Response.Header.Joined("Content-Encoding"); got != coding || x.Response.Body.Length() != -1 {
					t.Fatalf("%s: Content-Encoding %q, length %d; due %s and not known", name, got, x.Response.Body.Length(), coding)
				}
				var wire bytes.Buffer
				got, err := io.ReadAll(decoder(t, coding, io.TeeReader(x.Response.Body.Reader(), &wire)))
				if err != nil || string(got) != body {
					t.Errorf("%s of %s: %d bytes came, %d are due, error %v", coding, name, len(got), len(body), err)
				}
				if wire.Len() > len(body)/20 && name != "noise" {
					t.Errorf("%s of %s: %d bytes of %d", coding, name, wire.Len(), len(body))
				}
				if err := x.Response.Body.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

func TestTheCodingIsTheOneThatTheClientLikesMost(t *testing.T) {
	f := build(t, nil)
	for accept, due := range map[string]string{
		"":                                  "",
		"gzip":                              "gzip",
		"GZip":                              "gzip",
		"x-gzip":                            "gzip",
		"deflate":                           "",
		"gzip, deflate, br, zstd":           "zstd",
		"gzip, br":                          "br",
		"gzip;q=1, br;q=0.9, zstd;q=0.8":    "gzip",
		"gzip; q=0.5 ,br ; q=0.7":           "br",
		"gzip;q=0.501,br;q=0.5":             "gzip",
		"zstd;q=0, br;q=0.0, gzip":          "gzip",
		"zstd;q=0.000":                      "",
		"*":                                 "zstd",
		"*;q=0.5, gzip":                     "gzip",
		"*, zstd;q=0":                       "br",
		"*;q=0":                             "",
		"identity":                          "",
		"identity, gzip":                    "gzip",
		"identity, gzip;q=0.5":              "",
		"identity;q=0.5, gzip;q=0.5":        "gzip",
		"identity;q=0":                      "",
		"gzip;q=2":                          "",
		"gzip;q=0.1234":                     "",
		"gzip;q=x":                          "",
		"gzip;q=":                           "",
		"gzip;level=5":                      "",
		"gzip;q=1.":                         "gzip",
		", ,gzip,":                          "gzip",
		"gzipped, brotli, zstandard":        "",
		"br;q=0.001, identity;q=0.001":      "br",
		strings.Repeat("a,", 1000) + "gzip": "gzip",
	} {
		x := get(t, f, accept, reply(page, "Content-Type: text/html; charset=utf-8"))
		if got := x.Response.Header.Joined("Content-Encoding"); got != due {
			t.Errorf("Accept-Encoding %q: Content-Encoding %q, due %q", accept, got, due)
		}
		if got := x.Response.Header.Joined("Vary"); got != "Accept-Encoding" {
			t.Errorf("Accept-Encoding %q: Vary %q, due Accept-Encoding", accept, got)
		}
	}
}

func TestWhatIsLeftAsItIs(t *testing.T) {
	const html = "Content-Type: text/html"
	status := func(status int) core.HandlerFunc {
		return func(x *core.Exchange) error {
			err := reply(page, html)(x)
			x.Response.Status = status
			return err
		}
	}
	for _, c := range []struct {
		name   string
		next   core.HandlerFunc
		method string
		fields []string // of the request
		varies bool
	}{
		{"a small body", reply("short", html), "GET", nil, false},
		{"a type that does not shrink", reply(page, "Content-Type: image/png"), "GET", nil, false},
		{"no type", reply(page), "GET", nil, false},
		{"an encoded body", reply(page, html, "Content-Encoding: br"), "GET", nil, false},
		{"a response that is not to be transformed", reply(page, html, "Cache-Control: public, No-Transform"), "GET", nil, false},
		{"a request for what is not transformed", reply(page, html), "GET", []string{"Cache-Control: no-transform"}, true},
		{"a range", reply(page, html, "Content-Range: bytes 0-9/10"), "GET", nil, false},
		{"status 206", status(206), "GET", nil, false},
		{"an answer to HEAD", reply(page, html), "HEAD", nil, true},
		{"no body", func(x *core.Exchange) error {
			x.Response.Status = 200
			x.Response.Header.Add("Content-Type", "text/html")
			return nil
		}, "GET", nil, true},
		{"status 204", status(204), "GET", nil, false},
		{"status 304", status(304), "GET", nil, false},
		{"an upgrade", func(x *core.Exchange) error {
			x.Response.Status = 200
			x.Response.Tunnel = tunnel{}
			return nil
		}, "CONNECT", nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := build(t, nil)
			x := core.NewExchange(nil, nil)
			defer x.Release()
			x.Request.Method = c.method
			x.Request.Header.Add("Accept-Encoding", "gzip")
			for _, field := range c.fields {
				name, value, _ := strings.Cut(field, ": ")
				x.Request.Header.Add(name, value)
			}
			if err := f.Handle(x, c.next); err != nil {
				t.Fatal(err)
			}
			if got := x.Response.Header.Get("Content-Encoding"); got == "gzip" {
				t.Error("the response was encoded")
			}
			if got := x.Response.Header.Has("Vary"); got != c.varies {
				t.Errorf("the response has Vary: %v, due %v", got, c.varies)
			}
		})
	}
}

type tunnel struct{ core.Tunnel }

func (tunnel) Close() error { return nil }

func TestFieldsBecomeThoseOfTheEncodedBody(t *testing.T) {
	f := build(t, nil)
	x := get(t, f, "gzip", reply(page, "Content-Type: text/css", "ETag: \"v1\"", "Accept-Ranges: bytes",
		"Content-Encoding: identity", "Content-MD5: x", "Repr-Digest: x", "Vary: Origin"))
	var got strings.Builder
	for _, field := range x.Response.Header.Fields() {
		got.WriteString(field.Name + ": " + field.Value + "\n")
	}
	due := "Content-Type: text/css\nETag: W/\"v1\"\nVary: Origin\nVary: Accept-Encoding\nContent-Encoding: gzip\n"
	if got.String() != due {
		t.Errorf("fields are\n%sdue\n%s", got.String(), due)
	}
	x = get(t, f, "gzip", reply(page, "Content-Type: text/css", `ETag: W/"v1"`, "Vary: accept-encoding"))
	if tag, vary := x.Response.Header.Get("ETag"), x.Response.Header.Joined("Vary"); tag != `W/"v1"` || vary != "accept-encoding" {
		t.Errorf("ETag %s, Vary %s; due both as they were", tag, vary)
	}
}

func TestTypes(t *testing.T) {
	f := build(t, func(c *compress.Config) { c.Types = []string{"text/*", "application/*+JSON", "image/svg+xml"} })
	for contentType, due := range map[string]bool{
		"text/html":                          true,
		"TEXT/Event-Stream; charset=utf-8":   true,
		"application/problem+json":           true,
		"application/problem+json ; a=b":     true,
		"application/json":                   false,
		"image/svg+xml":                      true,
		"image/svg":                          false,
		"x-text/html":                        false,
		"application/problem+json+protobuf":  false,
		"application/grpc":                   false,
		"multipart/form-data; b=\"text/a\"":  false,
		"application/octet-stream;text/html": false,
	} {
		x := get(t, f, "gzip", reply(page, "Content-Type: "+contentType))
		if got := x.Response.Header.Has("Content-Encoding"); got != due {
			t.Errorf("%s is encoded: %v, due %v", contentType, got, due)
		}
	}
}

// events is a source that is read event by event.
type events struct {
	list   []string
	before func() // is called when an event is about to be read
}

func (e *events) Read(p []byte) (int, error) {
	e.before()
	if len(e.list) == 0 {
		return 0, io.EOF
	}
	n := copy(p, e.list[0])
	e.list = e.list[1:]
	return n, nil
}

func (e *events) Close() error { return nil }

func TestAnEventReachesTheClientBeforeTheNextOneIsRead(t *testing.T) {
	f := build(t, nil)
	for _, coding := range []string{"gzip", "br", "zstd"} {
		var wire bytes.Buffer // what has reached the client
		due := ""             // what the source has sent
		src := &events{list: []string{"data: 1\n\n", strings.Repeat("x", 32<<10), "data: 2\n\n", "data: 3\n\n"}}
		src.before = func() {
			if due != "" {
				got := make([]byte, len(due))
				n, err := io.ReadFull(decoder(t, coding, bytes.NewReader(wire.Bytes())), got)
				if string(got) != due {
					t.Errorf("%s: %d of the %d bytes sent have reached the client when the next are read, error %v",
						coding, n, len(due), err)
				}
			}
			if len(src.list) > 0 {
				due += src.list[0]
			}
		}
		x := get(t, f, coding, func(x *core.Exchange) error {
			x.Response.Status = 200
			x.Response.Header.Add("Content-Type", "text/event-stream")
			x.Response.Body.Set(src, -1)
			return nil
		})
		if _, err := io.Copy(&wire, x.Response.Body.Reader()); err != nil {
			t.Errorf("%s: %v", coding, err)
		}
		if got, err := io.ReadAll(decoder(t, coding, &wire)); err != nil || string(got) != due {
			t.Errorf("%s: %d bytes came in all, %d are due, error %v", coding, len(got), len(due), err)
		}
	}
}

func TestASourceThatFailsFailsTheResponse(t *testing.T) {
	f := build(t, nil)
	broken := errors.New("the endpoint is gone")
	x := get(t, f, "gzip", func(x *core.Exchange) error {
		x.Response.Status = 200
		x.Response.Header.Add("Content-Type", "text/plain")
		x.Response.Body.Set(io.NopCloser(io.MultiReader(strings.NewReader(page), iotest.ErrReader(broken))), -1)
		return nil
	})
	for range 2 {
		if _, err := io.Copy(io.Discard, x.Response.Body.Reader()); !errors.Is(err, broken) {
			t.Errorf("error %v, due %v", err, broken)
		}
	}
}

func TestAResponseThatIsGivenUpClosesItsSource(t *testing.T) {
	f := build(t, nil)
	src := &closer{Reader: strings.NewReader(page)}
	x := get(t, f, "zstd", func(x *core.Exchange) error {
		x.Response.Status = 200
		x.Response.Header.Add("Content-Type", "text/plain")
		x.Response.Body.Set(src, int64(len(page)))
		return nil
	})
	body := x.Response.Body.Reader()
	if _, err := body.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := body.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := body.Read(make([]byte, 10)); n != 0 || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a read after Close returned %d, %v", n, err)
	}
	if src.closed == 0 {
		t.Error("the source was not closed")
	}
}

type closer struct {
	io.Reader
	closed int
}

func (c *closer) Close() error {
	c.closed++
	return nil
}

func TestConfigurationsThatCannotWorkAreRefused(t *testing.T) {
	for due, change := range map[string]func(*compress.Config){
		"encodings is empty":        func(c *compress.Config) { c.Encodings = nil },
		"gzip is listed twice":      func(c *compress.Config) { c.Encodings = []string{"gzip", "gzip"} },
		"types is empty":            func(c *compress.Config) { c.Types = nil },
		`"html" is no media type`:   func(c *compress.Config) { c.Types = []string{"html"} },
		`"a/b; c" is no media type`: func(c *compress.Config) { c.Types = []string{"a/b; c"} },
		"gzip is out of range":      func(c *compress.Config) { c.Levels.Gzip = 10 },
		"br is out of range":        func(c *compress.Config) { c.Levels.Brotli = 12 },
		"zstd is out of range":      func(c *compress.Config) { c.Levels.Zstd = 0 },
	} {
		c := new(compress.Config)
		c.Defaults()
		change(c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), due) {
			t.Errorf("error %v, due one with %q", err, due)
		}
	}
}
