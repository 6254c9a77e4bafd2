package http2

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/net/http2"

	"github.com/sluiceproxy/sluice/core"
)

// sender is a request's body as the library reads it, on a goroutine of its own.
type sender struct {
	r   io.ReadCloser
	x   *core.Exchange
	req *http.Request
	n   atomic.Int64

	mu     sync.Mutex // held while the body is read
	closed bool
	failed atomic.Pointer[core.Error]
}

func (s *sender) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, io.ErrClosedPipe
	}
	n, err := s.r.Read(p)
	s.n.Add(int64(n))
	switch {
	case err == nil:
	case err == io.EOF:
		for _, f := range s.x.Request.Trailer.Fields() {
			s.req.Trailer.Add(f.Name, f.Value)
		}
	default:
		e, ok := core.AsError(err)
		if !ok {
			e = core.NewError(core.CodeClientClosed, err)
		}
		s.failed.Store(e)
	}
	return n, err
}

// Close is the library's: it reads no more.
func (s *sender) Close() error { return nil }

// wait returns once nobody reads the body any more: the exchange may then end.
func (s *sender) wait() {
	if !s.mu.TryLock() {
		s.x.AbortRequestBody()
		s.mu.Lock()
	}
	s.closed = true
	s.mu.Unlock()
}

// typed gives an error of the library its code.
func (e *exchange) typed(ctx context.Context, err error) error {
	if e.sender != nil {
		if failed := e.sender.failed.Load(); failed != nil {
			return failed
		}
	}
	out := &core.Error{Code: core.CodeUpstreamReset, Side: core.SideUpstream, Sent: true, Err: err}
	var stream http2.StreamError // net/http's errors answer to it
	switch {
	case errors.Is(context.Cause(ctx), errExpired):
		out.Code = e.expired()
		out.Err = errExpired
	case e.x.Cancelled():
		out.Code, out.Side = core.CodeCancelled, core.SideProxy
	case errors.As(err, &stream):
		out.Sent = stream.Code != http2.ErrCodeRefusedStream
		if stream.Code == http2.ErrCodeProtocol {
			out.Code = core.CodeUpstreamProtocol
		}
	case unsent(err):
		out.Sent = false
	}
	return out
}

// unsent recognises the library's errors for a request of which nothing was sent. They have no
// type of their own.
func unsent(err error) bool {
	switch err.Error() {
	case "http2: client conn could not be established", "http2: client conn not usable",
		"http2: Transport received Server's graceful shutdown GOAWAY":
		return true
	}
	return false
}

func (e *exchange) expired() core.Code {
	switch {
	case e.x.Deadline != 0 && core.Now() >= e.x.Deadline:
		return core.CodeTotalTimeout
	case e.resp != nil:
		return core.CodeIdleTimeout
	}
	return core.CodeTryTimeout
}

func sortedNames(h http.Header) []string {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
