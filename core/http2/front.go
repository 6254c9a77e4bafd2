package http2

import (
	"context"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/core"
)

// Limits bound what a client may send, and how slowly; 0 is no limit.
type Limits struct {
	Head      int   // bytes of a request head, decoded
	Fields    int   // header fields
	Target    int   // bytes of the target
	Body      int64 // bytes of a request body
	BodyIdle  time.Duration
	WriteIdle time.Duration
	KeepAlive time.Duration // how long a connection may have no stream
	Streams   uint32        // streams at once on one connection
}

// FrontOptions say what a Front does with its streams.
type FrontOptions struct {
	// Begin is called with an exchange whose request is there but for its body. run leaves a
	// response in it; end is called after the exchange has finished.
	Begin func(x *core.Exchange) (run, end func())
	// Refused is called instead for a request that is not valid, with the response in x.
	Refused func(x *core.Exchange) (end func())
	Log     *slog.Logger
	// Limits is asked for each connection and each stream.
	Limits func() Limits
}

// Front serves HTTP/2 connections that others have accepted. It is safe for concurrent use.
type Front struct {
	opts FrontOptions
	wg   sync.WaitGroup

	mu     sync.Mutex // guards all below
	conns  map[net.Conn]*http.Server
	closed bool
}

// NewFront returns a front that serves no connection yet.
func NewFront(opts FrontOptions) *Front {
	return &Front{opts: opts, conns: map[net.Conn]*http.Server{}}
}

// Serve serves one connection until it ends: TLS whose handshake has settled on h2, or plain,
// beginning with the client's preface.
func (f *Front) Serve(c net.Conn, client core.Client) {
	lim := f.opts.Limits()
	one := &oneConn{Conn: c, done: make(chan struct{})}
	var nth atomic.Uint64
	base := &http.Server{
		MaxHeaderBytes: lim.Head,
		IdleTimeout:    lim.KeepAlive,
		ErrorLog:       log.New(io.Discard, "", 0),
		Protocols:      new(http.Protocols),
		HTTP2:          &http.HTTP2Config{MaxConcurrentStreams: int(lim.Streams)},
		ConnState:      one.state,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			who := client
			who.Nth = nth.Add(1)
			f.stream(w, r, who)
		}),
	}
	base.Protocols.SetHTTP2(true)
	base.Protocols.SetUnencryptedHTTP2(true)
	if !f.enter(c, base) {
		c.Close()
		return
	}
	defer f.leave(c)
	base.Serve(one)
	<-one.done
}

// oneConn is a listener that hands out one connection, for net/http serves connections of a
// listener only.
type oneConn struct {
	net.Conn
	taken atomic.Bool
	done  chan struct{} // closed when the connection has ended
	once  sync.Once
}

func (l *oneConn) Accept() (net.Conn, error) {
	if l.taken.CompareAndSwap(false, true) {
		return l.Conn, nil
	}
	<-l.done
	return nil, net.ErrClosed
}

// Close is the server's, when it shuts down: the connection itself goes on.
func (l *oneConn) Close() error { return nil }

// Addr implements net.Listener.
func (l *oneConn) Addr() net.Addr { return l.LocalAddr() }

func (l *oneConn) state(_ net.Conn, s http.ConnState) {
	if s == http.StateClosed {
		l.once.Do(func() { close(l.done) })
	}
}

func (f *Front) enter(c net.Conn, base *http.Server) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return false
	}
	f.conns[c] = base
	f.wg.Add(1)
	return true
}

func (f *Front) leave(c net.Conn) {
	c.Close()
	f.mu.Lock()
	delete(f.conns, c)
	f.mu.Unlock()
	f.wg.Done()
}

// Shutdown tells every client to open no more streams (GOAWAY) and waits until those that run
// have ended, or ctx has.
func (f *Front) Shutdown(ctx context.Context) error {
	f.mu.Lock()
	f.closed = true
	for _, base := range f.conns {
		base.Shutdown(ctx)
	}
	f.mu.Unlock()
	done := make(chan struct{})
	go func() {
		f.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close cuts every connection. It does not wait.
func (f *Front) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for c := range f.conns {
		c.Close()
	}
}

// stream runs one stream's exchange.
func (f *Front) stream(w http.ResponseWriter, r *http.Request, client core.Client) {
	s := &stream{w: w, r: r, ctl: http.NewResponseController(w), lim: f.opts.Limits()}
	x := core.NewExchange(s, f.opts.Log)
	s.x = x
	x.Client = client
	x.Start = core.Now()
	run, end := f.begin(s)
	defer s.finish(end)
	gone := make(chan struct{})
	stop := context.AfterFunc(r.Context(), func() {
		defer close(gone)
		x.Cancel()
	})
	defer func() {
		if !stop() {
			<-gone
		}
	}()
	run()
	s.respond()
}

// begin fills the exchange and asks what to do with it. A request that is not valid is answered
// without anybody having seen it.
func (f *Front) begin(s *stream) (run, end func()) {
	if err := s.readHead(); err != nil {
		s.x.Request.Body.Clear()
		s.refuse(err)
		return func() {}, f.opts.Refused(s.x)
	}
	return f.opts.Begin(s.x)
}
