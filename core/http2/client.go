package http2

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/http1"
)

// Ender is told when a try has ended; see transport.Ender.
type Ender interface {
	AttemptEnded(x *core.Exchange, err error)
}

// ClientConn is a connection to an endpoint, shared by many exchanges. It is safe for concurrent
// use.
type ClientConn struct {
	cc      *http.ClientConn
	scheme  string
	retired atomic.Bool
}

// NewClientConn speaks HTTP/2 on c: TLS whose handshake has settled on h2, or plain by prior
// knowledge. scheme is https or http accordingly. It owns c from now on, and closes it when it was
// idle for keepFor (0: never).
func NewClientConn(c net.Conn, scheme string, keepFor time.Duration) (*ClientConn, error) {
	have := func(context.Context, string, string) (net.Conn, error) { return c, nil }
	t := &http.Transport{
		Protocols:          new(http.Protocols),
		DialContext:        have,
		DisableCompression: true,
		IdleConnTimeout:    keepFor,
		// A peer that is gone is noticed by a PING that nobody answers.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 10 * time.Second},
	}
	// To the library the connection is a plain one: what is below it is done with.
	t.Protocols.SetUnencryptedHTTP2(true)
	cc, err := t.NewClientConn(context.Background(), "http", "endpoint:0")
	if err != nil {
		c.Close()
		return nil, core.NewError(core.CodeConnectFailed, err)
	}
	conn := &ClientConn{cc: cc, scheme: scheme}
	cc.SetStateHook(func(*http.ClientConn) { conn.closeRetired() })
	return conn, nil
}

// Reserve takes a stream for one RoundTrip, which must follow. It returns false when there is none
// to be had now: then another connection is needed.
func (c *ClientConn) Reserve() bool { return !c.retired.Load() && c.cc.Reserve() == nil }

// Done reports whether the connection takes no more streams, ever.
func (c *ClientConn) Done() bool { return c.cc.Err() != nil }

// Retire lets the connection take no more streams and closes it when the last one has ended.
func (c *ClientConn) Retire() {
	c.retired.Store(true)
	c.closeRetired()
}

func (c *ClientConn) closeRetired() {
	if c.retired.Load() && c.cc.InFlight() == 0 {
		go c.cc.Close() // the hook may be called with the connection's lock held
	}
}

// Close cuts the connection and the streams on it.
func (c *ClientConn) Close() error { return c.cc.Close() }

// RoundTrip sends x.Request and returns when the response head is in x.Response, before the
// instant by (0: never). Pauses of the body are bounded by idle. On nil, end is told when the
// response has ended; any other error is a *core.Error and end is not told.
func (c *ClientConn) RoundTrip(x *core.Exchange, by core.Instant, idle time.Duration, end Ender) error {
	if x.Request.Upgrade != "" {
		return core.Errorf(core.CodeUpstreamProtocol, "upgrade to %s over HTTP/2 is not possible", x.Request.Upgrade)
	}
	ex := &exchange{x: x, end: end, idle: idle, attempt: len(x.Attempts) - 1}
	ctx, cancel := context.WithCancelCause(context.Background())
	ex.cancel = cancel
	ex.timer = time.AfterFunc(untilOr(by, never), ex.expire)
	if by == 0 {
		ex.timer.Stop()
	}
	x.OnCancel((*stop)(ex))
	resp, err := c.cc.RoundTrip(ex.request(ctx, c.scheme))
	if err != nil {
		x.OnCancel(nil)
		ex.timer.Stop()
		err = ex.typed(ctx, err)
		cancel(nil)
		return err
	}
	ex.headCame(ctx, resp)
	return nil
}

const never = 1 << 62

func untilOr(by core.Instant, d time.Duration) time.Duration {
	if by == 0 {
		return d
	}
	return max(by.Sub(core.Now()), time.Nanosecond)
}

// exchange is one exchange on its way to the endpoint and back. It is the response's body.
type exchange struct {
	x       *core.Exchange
	end     Ender
	idle    time.Duration
	attempt int
	cancel  context.CancelCauseFunc
	timer   *time.Timer
	sender  *sender // the request's body, nil without one
	ctx     context.Context
	resp    *http.Response
	in      int64
	once    sync.Once
	err     error
}

var errExpired = errors.New("timeout")

func (e *exchange) expire() { e.cancel(errExpired) }

// Close implements io.Closer for the response's body.
func (e *exchange) Close() error {
	e.finish(http1.ErrBodyClosed)
	return nil
}

// stop is an exchange as core.Exchange.OnCancel needs it.
type stop exchange

// Close gives the exchange up from another goroutine.
func (s *stop) Close() error {
	s.cancel(context.Canceled)
	return nil
}

func (e *exchange) request(ctx context.Context, scheme string) *http.Request {
	req := &e.x.Request
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: e.interim})
	r := (&http.Request{
		Method: req.Method, URL: target(req, scheme), Host: req.Authority, Proto: "HTTP/2.0", ProtoMajor: 2,
		Header: make(http.Header, req.Header.Len()),
	}).WithContext(ctx)
	for _, f := range req.Header.Fields() {
		te := core.EqualFold(f.Name, "TE") && core.HasToken(f.Value, "trailers")
		switch {
		case te:
			r.Header["Te"] = []string{"trailers"}
		case http1.HopByHop(f.Name), core.EqualFold(f.Name, "Host"), core.EqualFold(f.Name, "Expect"):
		default:
			r.Header.Add(f.Name, f.Value)
		}
	}
	if _, ok := r.Header["User-Agent"]; !ok {
		r.Header["User-Agent"] = nil // else the library sends its own
	}
	if !req.Body.None() && req.Body.Length() != 0 {
		e.sender = &sender{r: req.Body.Reader(), x: e.x, req: r}
		r.Body, r.ContentLength = e.sender, req.Body.Length()
		r.Trailer = http.Header{}
	}
	return r
}

// target leaves path and query byte for byte as they are.
func target(req *core.Request, scheme string) *url.URL {
	u := &url.URL{Scheme: scheme, Host: req.Authority, RawQuery: req.Query(),
		ForceQuery: req.HasQuery() && req.Query() == ""}
	if path := req.RawPath(); strings.HasPrefix(path, "//") {
		u.Path, u.RawPath = req.Path(), path
	} else {
		u.Opaque = path
	}
	return u
}

// interim passes a 1xx response on. The library calls it before RoundTrip returns, on its own
// goroutine, while this one waits in RoundTrip.
func (e *exchange) interim(status int, header textproto.MIMEHeader) error {
	if status == 100 {
		return nil
	}
	var h core.Header
	addFields(&h, http.Header(header))
	return e.x.Interim(status, &h)
}

func (e *exchange) headCame(ctx context.Context, r *http.Response) {
	x := e.x
	e.ctx, e.resp = ctx, r
	resp := &x.Response
	resp.Status, resp.Proto = r.StatusCode, core.HTTP2
	addFields(&resp.Header, r.Header)
	if a := x.AttemptAt(e.attempt); a != nil {
		a.Status = r.StatusCode
		a.Header = core.Now().Sub(a.Start)
	}
	if e.idle > 0 {
		e.timer.Reset(e.idle)
	} else {
		e.timer.Stop()
	}
	if r.Body == http.NoBody || http1.NoBody(x.Request.Method, r.StatusCode) {
		e.drainTrailer()
		e.finish(nil)
		return
	}
	length := r.ContentLength
	resp.Body.Set(e, length)
}

// drainTrailer copies what came behind the body: a response without a body may still have a
// trailer, as gRPC's errors do not, but proxies' answers do.
func (e *exchange) drainTrailer() { addFields(&e.x.Response.Trailer, e.resp.Trailer) }

// Read reads the response's body.
func (e *exchange) Read(p []byte) (int, error) {
	if e.err != nil {
		return 0, e.err
	}
	if e.idle > 0 {
		e.timer.Reset(e.idle)
	}
	n, err := e.resp.Body.Read(p)
	e.in += int64(n)
	switch {
	case err == nil:
		return n, nil
	case err == io.EOF:
		e.drainTrailer()
		e.finish(nil)
		e.err = io.EOF
		return n, io.EOF
	}
	e.err = e.typed(e.ctx, err)
	e.finish(e.err)
	return n, e.err
}

func (e *exchange) finish(err error) {
	e.once.Do(func() {
		e.x.OnCancel(nil)
		e.timer.Stop()
		e.resp.Body.Close()
		e.cancel(nil)
		if a := e.x.AttemptAt(e.attempt); a != nil {
			a.Total = core.Now().Sub(a.Start)
			a.BytesIn = e.in
			if e.sender != nil {
				a.BytesOut = e.sender.n.Load()
			}
		}
		if e.sender != nil {
			e.sender.wait()
		}
		e.end.AttemptEnded(e.x, err)
	})
}

// addFields copies a header, its names in a fixed order.
func addFields(dst *core.Header, src http.Header) {
	for _, name := range sortedNames(src) {
		if http1.HopByHop(name) && name != "Content-Length" {
			continue
		}
		for _, v := range src[name] {
			dst.AddParsed(name, v)
		}
	}
}
