package core

import (
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"sync"
)

// Fork returns a copy of the exchange on which another try can run at the same time: an exchange
// belongs to one goroutine, its forks each to another, started with Go. x itself must rest until
// one fork was adopted or all were abandoned; each of them must be one or the other.
//
// It returns nil when the request can be sent only once: it has a body that is not in memory, or
// asks for an upgrade. A fork sends no 1xx responses to the client.
func (x *Exchange) Fork() *Exchange {
	if _, _, inMemory := x.Request.Body.Buffered(); !inMemory || x.Request.Upgrade != "" {
		return nil
	}
	f := exchanges.Get().(*Exchange)
	f.front, f.log, f.id = forkFront{x}, x.log, x.ID()
	f.Request.copyFrom(&x.Request)
	f.Client, f.Listener, f.Runtime = x.Client, x.Listener, x.Runtime
	f.Route, f.Upstream, f.Endpoint = x.Route, x.Upstream, x.Endpoint
	f.Attempts = append(f.Attempts, x.Attempts...)
	f.Tried = append(f.Tried, x.Tried...)
	f.Captures = append(f.Captures, x.Captures...)
	f.vars = append(f.vars, x.vars...)
	f.Start, f.Deadline, f.TryTimeout = x.Start, x.Deadline, x.TryTimeout
	f.at, f.hops = x.at, x.hops
	f.fork.base = len(x.Attempts)
	x.fork.children = append(x.fork.children, f)
	return f
}

// Try calls h with the fork. A panic becomes an error: on the fork's goroutine, nobody else would
// stop it from ending the process.
func (x *Exchange) Try(h Handler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &Error{Code: CodeInternal, Side: SideProxy, Err: fmt.Errorf("panic: %v", p), Stack: debug.Stack(), outside: true}
		}
	}()
	return h.Handle(x)
}

// Adopt makes the outcome of f, a fork of x whose handler has returned, the outcome of x: its
// response, endpoint, attempts, variables and what it registered with OnDone. f lives on behind
// the response's body and goes back to the pool with x.
func (x *Exchange) Adopt(f *Exchange) {
	x.Response.Reset()
	x.Response, f.Response = f.Response, x.Response
	if !x.Response.Body.None() {
		b := &x.Response.Body
		if _, _, inMemory := b.Buffered(); !inMemory {
			b.Set(&adopted{ReadCloser: b.r, x: x, f: f}, b.length)
		}
	}
	x.Upstream, x.Endpoint, x.Err = f.Upstream, f.Endpoint, f.Err
	x.Deadline, x.probed = f.Deadline, f.probed
	x.vars = append(x.vars[:0], f.vars...)
	x.done = append(x.done, f.done...)
	f.done = f.done[:0]
	own := f.Attempts[f.fork.base:]
	x.Attempts = append(x.Attempts[:f.fork.base], own...)
	f.fork.adopted = len(own)
	f.fork.won = true
	x.OnCancel(canceler{f})
}

// Abandon ends a fork that lost, once its handler has returned: it closes the response and runs
// what was registered with OnDone. It may run on the fork's goroutine.
func (x *Exchange) Abandon() {
	x.Response.Reset()
	x.bg.Wait()
	x.joinForks()
	x.runDoneList()
}

// forkState is what an exchange knows of its forks, and a fork of itself.
type forkState struct {
	children []*Exchange
	base     int  // len(x.Attempts) when this fork was made
	adopted  int  // how many attempts of this fork's own are in x.Attempts
	won      bool // adopted

	mu        sync.Mutex // guards all below
	closer    io.Closer
	endpoint  Endpoint
	cancelled bool
}

// joinForks waits for the forks and brings their attempts into x.Attempts as they ended: those
// of the losers stand before those of the fork that was adopted, so that the last is the answer's.
func (x *Exchange) joinForks() {
	for _, f := range x.fork.children {
		if !f.fork.won {
			continue
		}
		f.bg.Wait()
		f.joinForks()
		from := f.fork.base
		copy(x.Attempts[from:from+f.fork.adopted], f.Attempts[len(f.Attempts)-f.fork.adopted:])
	}
	for _, f := range slices.Backward(x.fork.children) {
		if !f.fork.won {
			x.Attempts = slices.Insert(x.Attempts, f.fork.base, f.Attempts[f.fork.base:]...)
		}
	}
}

func (x *Exchange) releaseForks() {
	for _, f := range x.fork.children {
		f.Release()
	}
}

// OnCancel has c closed when the exchange is cancelled: whoever blocks on behalf of the exchange
// sets it before it waits, with x.Endpoint as the endpoint it waits for, and takes it away with
// nil afterwards. It returns false, and has closed c, when the exchange is cancelled already.
func (x *Exchange) OnCancel(c io.Closer) bool {
	s := &x.fork
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closer = c
	if c == nil {
		return !s.cancelled
	}
	s.endpoint = x.Endpoint
	if s.cancelled {
		c.Close()
	}
	return !s.cancelled
}

// Cancel gives the exchange up: what blocks on its behalf returns the error cancelled. It is safe
// for concurrent use, also when nothing blocks, and a second time.
func (x *Exchange) Cancel() {
	s := &x.fork
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancelled {
		return
	}
	s.cancelled = true
	if s.closer != nil {
		s.closer.Close()
	}
}

// Cancelled reports whether Cancel was called. It is safe for concurrent use.
func (x *Exchange) Cancelled() bool {
	x.fork.mu.Lock()
	defer x.fork.mu.Unlock()
	return x.fork.cancelled
}

// Waiting returns the endpoint of the last OnCancel, nil before it. Unlike x.Endpoint it is safe
// for concurrent use: another try asks it which endpoint to avoid.
func (x *Exchange) Waiting() Endpoint {
	x.fork.mu.Lock()
	defer x.fork.mu.Unlock()
	return x.fork.endpoint
}

// canceler cancels a fork when the exchange that adopted it is cancelled.
type canceler struct{ f *Exchange }

func (c canceler) Close() error {
	c.f.Cancel()
	return nil
}

// forkFront is a fork's front end.
type forkFront struct{ parent *Exchange }

// Interim drops the response: an answer that may yet lose must not be heard.
func (forkFront) Interim(*Exchange, int, *Header) error { return nil }

// AbortRequestBody does nothing: a fork's request body is in memory.
func (forkFront) AbortRequestBody(*Exchange) {}

func (f forkFront) ClientGone(*Exchange) bool { return f.parent.ClientGone() }

// adopted is the body of an adopted response: whoever sends it still writes to the fork.
type adopted struct {
	io.ReadCloser
	x, f *Exchange
}

func (a *adopted) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	if err == io.EOF && a.f.Response.Trailer.Len() > 0 {
		a.x.Response.Trailer.CopyFrom(&a.f.Response.Trailer)
	}
	return n, err
}

// copyFrom makes r a copy of o that shares no memory that either may change.
func (r *Request) copyFrom(o *Request) {
	h, t := r.Header, r.Trailer
	h.CopyFrom(&o.Header)
	t.CopyFrom(&o.Trailer)
	*r = *o
	r.Header, r.Trailer = h, t
	r.Body.Rewind()
}
