package transport_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/http1"
	"github.com/sluiceproxy/sluice/core/transport"
)

// endpoint is a raw server; serve is called for each connection with its serial number from 1.
func endpoint(t *testing.T, serve func(n int, c net.Conn, br *bufio.Reader)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	wg.Go(func() {
		for n := 1; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			wg.Go(func() {
				defer c.Close()
				serve(n, c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return ln.Addr().String()
}

// answer reads one request and writes text; false when the connection has ended.
func answer(c net.Conn, br *bufio.Reader, text string) bool {
	req, err := http.ReadRequest(br)
	if err != nil {
		return false
	}
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return false
	}
	_, err = io.WriteString(c, text)
	return err == nil
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// ends counts how tries ended.
type ends struct{ errs []error }

func (e *ends) AttemptEnded(_ *core.Exchange, err error) { e.errs = append(e.errs, err) }

func newExchange(method, body string) *core.Exchange {
	x := core.NewExchange(nil, nil)
	x.Request.Method, x.Request.Authority, x.Request.Proto = method, "a.example", core.HTTP11
	x.Request.SetTarget("/p")
	if body != "" {
		x.Request.Body.SetString(body)
	}
	x.Attempts = append(x.Attempts, core.Attempt{Start: core.Now(), Connect: -1, Header: -1, Total: -1})
	return x
}

func newPool(t *testing.T, addr string, cfg transport.Config) *transport.Pool {
	if cfg.KeepIdle == 0 {
		cfg.KeepIdle = 8
	}
	p := transport.NewPool(addr, cfg)
	t.Cleanup(p.Close)
	return p
}

func send(t *testing.T, p *transport.Pool, x *core.Exchange) (string, *ends, error) {
	t.Helper()
	e := &ends{}
	if err := p.RoundTrip(x, e); err != nil {
		return "", e, err
	}
	if x.Response.Body.None() {
		return "", e, nil
	}
	body, err := io.ReadAll(x.Response.Body.Reader())
	x.Response.Body.Close()
	x.Wait()
	return string(body), e, err
}

func TestAConnectionServesOneExchangeAfterTheOther(t *testing.T) {
	addr := endpoint(t, func(n int, c net.Conn, br *bufio.Reader) {
		for answer(c, br, ok) {
		}
	})
	p := newPool(t, addr, transport.Config{})
	for i := range 3 {
		x := newExchange("GET", "")
		body, e, err := send(t, p, x)
		a := x.LastAttempt()
		if err != nil || body != "ok" || len(e.errs) != 1 || e.errs[0] != nil {
			t.Fatalf("exchange %d: %q, %v, ended %v", i, body, err, e.errs)
		}
		if a.Reused != (i > 0) || a.Status != 200 || a.Header < 0 || a.Total < a.Header || a.BytesIn != 2 {
			t.Errorf("exchange %d: attempt %+v", i, a)
		}
	}
	if p.Open() != 1 {
		t.Errorf("%d connections open, due 1", p.Open())
	}
}

func TestWhatIsLeftBehindAnAnswerClosesTheConnection(t *testing.T) {
	for name, text := range map[string]string{
		"bytes behind the body":  ok + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL",
		"connection: close":      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
		"http/1.0":               "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"a body on a 204":        "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok",
		"bytes behind last zero": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nEVIL",
	} {
		t.Run(name, func(t *testing.T) {
			addr := endpoint(t, func(n int, c net.Conn, br *bufio.Reader) {
				for answer(c, br, text) {
				}
			})
			p := newPool(t, addr, transport.Config{})
			for range 2 {
				x := newExchange("GET", "")
				if body, _, err := send(t, p, x); err != nil || strings.Contains(body, "EVIL") {
					t.Fatalf("got %q, %v", body, err)
				}
				if x.LastAttempt().Reused {
					t.Error("the connection was used again")
				}
			}
		})
	}
}

func TestAKeptConnectionThatWasClosedIsReplacedOnceWhereThatIsSafe(t *testing.T) {
	for _, tc := range []struct {
		method string
		want   string // "" for an error
	}{{"GET", "ok"}, {"PUT", "ok"}, {"POST", ""}} {
		t.Run(tc.method, func(t *testing.T) {
			reset := make(chan struct{}, 1)
			addr := endpoint(t, func(n int, c net.Conn, br *bufio.Reader) {
				if !answer(c, br, ok) {
					return
				}
				if n == 1 { // reads the second request and dies without an answer
					http.ReadRequest(br)
					reset <- struct{}{}
					return
				}
				for answer(c, br, ok) {
				}
			})
			p := newPool(t, addr, transport.Config{})
			if _, _, err := send(t, p, newExchange("GET", "")); err != nil {
				t.Fatal(err)
			}
			x := newExchange(tc.method, "body")
			body, _, err := send(t, p, x)
			<-reset
			if tc.want != "" {
				if err != nil || body != tc.want {
					t.Errorf("got %q, %v, due %q", body, err, tc.want)
				}
				return
			}
			if e, typed := core.AsError(err); !typed || e.Code != core.CodeUpstreamReset || !e.Sent {
				t.Errorf("got %v, due %s with bytes sent", err, core.CodeUpstreamReset)
			}
		})
	}
}

func TestErrorsHaveTheirCode(t *testing.T) {
	closed := func() string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		return ln.Addr().String()
	}()
	play := func(text string) string {
		return endpoint(t, func(n int, c net.Conn, br *bufio.Reader) { answer(c, br, text) })
	}
	hang := endpoint(t, func(n int, c net.Conn, br *bufio.Reader) { io.Copy(io.Discard, br) })
	trickle := endpoint(t, func(n int, c net.Conn, br *bufio.Reader) {
		answer(c, br, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok")
		io.Copy(io.Discard, br)
	})
	short := 50 * time.Millisecond
	for _, tc := range []struct {
		name, addr string
		cfg        transport.Config
		deadline   time.Duration
		code       core.Code
		sent       bool
	}{
		{name: "refused", addr: closed, code: core.CodeConnectRefused},
		{name: "no answer", addr: play(""), code: core.CodeUpstreamReset, sent: true},
		{name: "half a head", addr: play("HTTP/1.1 200 OK\r\nA"), code: core.CodeUpstreamReset, sent: true},
		{name: "no http", addr: play("220 smtp\r\n\r\n"), code: core.CodeUpstreamProtocol, sent: true},
		{name: "101 unasked", addr: play("HTTP/1.1 101 X\r\nUpgrade: y\r\n\r\n"), code: core.CodeUpstreamProtocol, sent: true},
		{name: "too many 1xx", addr: play(strings.Repeat("HTTP/1.1 103 X\r\n\r\n", 100)), code: core.CodeUpstreamProtocol, sent: true},
		{name: "large head", addr: play("HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 70<<10)), code: core.CodeUpstreamProtocol, sent: true},
		{name: "try", addr: hang, cfg: transport.Config{Try: short}, code: core.CodeTryTimeout, sent: true},
		{name: "total", addr: hang, cfg: transport.Config{Try: time.Minute}, deadline: short, code: core.CodeTotalTimeout, sent: true},
		{name: "cut body", addr: play("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"), code: core.CodeUpstreamReset, sent: true},
		{name: "idle body", addr: trickle, cfg: transport.Config{Idle: short}, code: core.CodeIdleTimeout, sent: true},
		{name: "bad chunk", addr: play("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz"), code: core.CodeUpstreamProtocol, sent: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPool(t, tc.addr, tc.cfg)
			x := newExchange("GET", "")
			if tc.deadline > 0 {
				x.Deadline = core.Now().Add(tc.deadline)
			}
			_, e, err := send(t, p, x)
			typed, isTyped := core.AsError(err)
			if !isTyped || typed.Code != tc.code || typed.Sent != tc.sent {
				t.Errorf("got %v, due %s, sent %v", err, tc.code, tc.sent)
			}
			if len(e.errs) > 1 || len(e.errs) == 1 && !errors.Is(e.errs[0], err) {
				t.Errorf("ended %v", e.errs)
			}
			if n := p.Open(); n != 0 {
				t.Errorf("%d connections open", n)
			}
		})
	}
}

// gate is a body whose reads wait until they are let through.
type gate struct {
	parts chan string
}

func (g *gate) Read(p []byte) (int, error) {
	s, more := <-g.parts
	if !more {
		return 0, io.EOF
	}
	return copy(p, s), nil
}

func (g *gate) Close() error { return nil }

func TestAnEndpointMayAnswerWhileTheBodyIsStillOnItsWay(t *testing.T) {
	addr := endpoint(t, func(n int, c net.Conn, br *bufio.Reader) {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		buf := make([]byte, 100)
		for {
			n, err := req.Body.Read(buf)
			if n > 0 {
				fmt.Fprintf(c, "%x\r\n%s\r\n", n, buf[:n])
			}
			if err != nil {
				io.WriteString(c, "0\r\n\r\n")
				return
			}
		}
	})
	p := newPool(t, addr, transport.Config{})
	x := newExchange("POST", "")
	g := &gate{parts: make(chan string)}
	x.Request.Body.Set(g, -1)
	e := &ends{}
	if err := p.RoundTrip(x, e); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	for _, part := range []string{"one", "two"} {
		g.parts <- part
		n, err := x.Response.Body.Reader().Read(buf)
		if err != nil || string(buf[:n]) != part {
			t.Fatalf("sent %q, got %q, %v", part, buf[:n], err)
		}
	}
	close(g.parts)
	if rest, err := io.ReadAll(x.Response.Body.Reader()); err != nil || len(rest) > 0 {
		t.Errorf("at the end: %q, %v", rest, err)
	}
	x.Wait()
}

func TestABodyThatFailsEndsTheTryWithTheClientsError(t *testing.T) {
	addr := endpoint(t, func(n int, c net.Conn, br *bufio.Reader) { answer(c, br, ok) })
	p := newPool(t, addr, transport.Config{})
	x := newExchange("POST", "")
	x.Request.Body.Set(io.NopCloser(io.MultiReader(strings.NewReader("abc"),
		errReader{core.NewError(core.CodeClientTimeout, nil)})), 1<<20)
	_, _, err := send(t, p, x)
	x.Wait()
	if e, typed := core.AsError(err); !typed || e.Code != core.CodeClientTimeout {
		t.Errorf("got %v, due %s", err, core.CodeClientTimeout)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestAnAnswerThatIsGivenUpClosesItsConnection(t *testing.T) {
	addr := endpoint(t, func(n int, c net.Conn, br *bufio.Reader) {
		answer(c, br, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nok")
		io.Copy(io.Discard, br)
	})
	p := newPool(t, addr, transport.Config{})
	x := newExchange("GET", "")
	e := &ends{}
	if err := p.RoundTrip(x, e); err != nil {
		t.Fatal(err)
	}
	x.Response.Reset()
	if len(e.errs) != 1 || !errors.Is(e.errs[0], http1.ErrBodyClosed) || p.Open() != 0 {
		t.Errorf("ended %v, %d connections open", e.errs, p.Open())
	}
}

func TestACancelledExchangeStopsWaiting(t *testing.T) {
	reached := make(chan struct{})
	addr := endpoint(t, func(n int, c net.Conn, br *bufio.Reader) {
		http.ReadRequest(br)
		close(reached)
		io.Copy(io.Discard, br)
	})
	p := newPool(t, addr, transport.Config{})
	x := newExchange("GET", "")
	go func() {
		<-reached
		x.Cancel()
	}()
	_, _, err := send(t, p, x)
	if e, typed := core.AsError(err); !typed || e.Code != core.CodeCancelled {
		t.Errorf("got %v, due %s", err, core.CodeCancelled)
	}
}

func TestIdleConnectionsAreClosedAfterTheirTime(t *testing.T) {
	addr := endpoint(t, func(n int, c net.Conn, br *bufio.Reader) {
		for answer(c, br, ok) {
		}
	})
	p := newPool(t, addr, transport.Config{KeepFor: 20 * time.Millisecond})
	if _, _, err := send(t, p, newExchange("GET", "")); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); p.Open() > 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	if p.Open() != 0 {
		t.Errorf("%d connections open", p.Open())
	}
}

func TestALimitOfConnectionsIsKept(t *testing.T) {
	addr := endpoint(t, func(n int, c net.Conn, br *bufio.Reader) { io.Copy(io.Discard, br) })
	p := newPool(t, addr, transport.Config{MaxConns: 1})
	first := newExchange("GET", "")
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.RoundTrip(first, &ends{})
	}()
	for end := time.Now().Add(5 * time.Second); p.Open() == 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	_, _, err := send(t, p, newExchange("GET", ""))
	if e, typed := core.AsError(err); !typed || e.Code != core.CodeOverflow {
		t.Errorf("got %v, due %s", err, core.CodeOverflow)
	}
	first.Cancel()
	<-done
}
