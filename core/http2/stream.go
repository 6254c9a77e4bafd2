package http2

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/http1"
	"github.com/sluiceproxy/sluice/core/proxy"
)

// stream is the front end of one exchange.
type stream struct {
	w    http.ResponseWriter
	r    *http.Request
	ctl  *http.ResponseController
	x    *core.Exchange
	lim  Limits
	body requestBody
	cut  bool // the stream must end with a reset
}

var _ core.Front = (*stream)(nil)

// Interim implements core.Front. The library sends 100 itself when the body is first read.
func (s *stream) Interim(_ *core.Exchange, status int, h *core.Header) error {
	if status == 100 {
		return nil
	}
	own := s.w.Header()
	setFields(own, h)
	s.w.WriteHeader(status)
	clear(own)
	return nil
}

// AbortRequestBody implements core.Front.
func (s *stream) AbortRequestBody(*core.Exchange) { s.ctl.SetReadDeadline(time.Unix(1, 0)) }

// ClientGone implements core.Front.
func (s *stream) ClientGone(*core.Exchange) bool { return s.r.Context().Err() != nil }

// refuse answers a request that is not valid.
func (s *stream) refuse(err error) {
	e, ok := core.AsError(err)
	if !ok {
		e = core.NewError(core.CodeBadRequest, err)
	}
	proxy.Fail(s.x, e)
}

// finish ends the exchange; a response that was cut ends the stream with RST_STREAM.
func (s *stream) finish(end func()) {
	if p := recover(); p != nil {
		s.x.Log().Error("panic in a stream", "panic", p)
		s.x.Aborted, s.cut = true, true
	}
	s.ctl.SetReadDeadline(time.Unix(1, 0)) // whoever still reads the request body
	x, cut := s.x, s.cut
	x.Finish()
	end()
	x.Release()
	if cut {
		panic(http.ErrAbortHandler)
	}
}

// respond writes what was left in the exchange.
func (s *stream) respond() {
	x := s.x
	resp := &x.Response
	if resp.Tunnel != nil {
		resp.Tunnel.Close()
		x.Response.Reset()
		x.Respond(502, "", "")
	}
	h := s.w.Header()
	setFields(h, &resp.Header)
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // else the library guesses one
	}
	noBody := http1.NoBody(x.Request.Method, resp.Status)
	if n := resp.Body.Length(); n >= 0 && !noBody {
		h.Set("Content-Length", itoa(n))
	} else if noBody && resp.Header.Has("Content-Length") && resp.Status >= 200 && resp.Status != 204 {
		h.Set("Content-Length", resp.Header.Get("Content-Length"))
	}
	s.w.WriteHeader(resp.Status)
	if noBody {
		resp.Body.Close()
		s.trailers()
		return
	}
	if err := s.copyBody(); err != nil {
		s.abort(err)
		return
	}
	s.trailers()
}

// copyBody sends what each read brings at once when the length is not known: that is a stream.
func (s *stream) copyBody() error {
	body := &s.x.Response.Body
	if body.None() {
		return nil
	}
	buf := http1.Buffers{}.Get()
	defer http1.Buffers{}.Put(buf)
	streaming := body.Length() < 0
	if streaming {
		s.ctl.Flush()
	}
	r := body.Reader()
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if werr := s.write(buf[:n], streaming); werr != nil {
				return werr
			}
		}
		if err == io.EOF {
			return r.Close()
		}
		if err != nil {
			return &readError{err}
		}
	}
}

func (s *stream) write(p []byte, flush bool) error {
	if s.lim.WriteIdle > 0 {
		s.ctl.SetWriteDeadline(time.Now().Add(s.lim.WriteIdle))
	}
	n, err := s.w.Write(p)
	s.x.BytesOut += int64(n)
	s.x.BodyBytesOut += int64(n)
	if err == nil && flush {
		err = s.ctl.Flush()
	}
	return err
}

// readError marks an error of reading the response rather than of writing it.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }

func (s *stream) abort(err error) {
	x := s.x
	x.Aborted, s.cut = true, true
	x.Response.Body.Close()
	var re *readError
	if !errors.As(err, &re) {
		if x.Err == nil {
			x.Err = core.NewError(core.CodeClientClosed, err)
		}
		return
	}
	e, ok := core.AsError(re.err)
	if !ok {
		e = core.NewError(core.CodeFilterFailed, re.err)
	}
	x.Err = e
	x.Log().Warn("response cut", "listener", x.Listener, "error", e.Error(),
		"path", x.Request.RawPath(), "client", x.Client.Addr)
}

func (s *stream) trailers() {
	h := s.w.Header()
	for _, f := range s.x.Response.Trailer.Fields() {
		if http1.AllowedInTrailer(f.Name) {
			h.Add(http.TrailerPrefix+f.Name, f.Value)
		}
	}
}

// setFields copies fields that may be passed from one connection to another.
func setFields(dst http.Header, src *core.Header) {
	for _, f := range src.Fields() {
		if http1.HopByHop(f.Name) || core.EqualFold(f.Name, "Trailer") {
			continue
		}
		dst.Add(f.Name, f.Value)
	}
}
