package http2

import (
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/http1"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func bad(format string, args ...any) error { return core.Errorf(core.CodeBadRequest, format, args...) }

// readHead fills the exchange's request. What the library lets through and an HTTP/1.1 endpoint
// could read differently is an error.
func (s *stream) readHead() error {
	r, req := s.r, &s.x.Request
	req.Proto = core.HTTP2
	req.Method = r.Method
	req.Scheme = "http"
	if s.x.Client.TLS != nil {
		req.Scheme = "https"
	}
	if err := s.checkLine(); err != nil {
		return err
	}
	req.Authority = r.Host
	if err := s.fields(); err != nil {
		return err
	}
	return s.openBody()
}

func (s *stream) checkLine() error {
	r := s.r
	if r.Method == "CONNECT" {
		e := core.Errorf(core.CodeBadRequest, "connect over HTTP/2 is not offered")
		e.Status = 501
		return e
	}
	if !httpguts.ValidHeaderFieldName(r.Method) {
		return bad("method is not a token")
	}
	if r.Host == "" {
		return bad("neither :authority nor host")
	}
	if err := http1.CheckAuthority(r.Host); err != nil {
		return err
	}
	if hosts := r.Header["Host"]; len(hosts) > 1 || len(hosts) == 1 && !strings.EqualFold(hosts[0], r.Host) {
		return bad("host differs from :authority")
	}
	if max := s.lim.Target; max > 0 && len(r.RequestURI) > max {
		return core.Errorf(core.CodeTargetTooLong, "target of %d bytes is above the limit of %d", len(r.RequestURI), max)
	}
	return http1.CheckTarget(r.RequestURI, &s.x.Request)
}

// fields copies the header. The library has lost its order; sorting gives it one.
func (s *stream) fields() error {
	names := make([]string, 0, len(s.r.Header))
	for name := range s.r.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	h := &s.x.Request.Header
	count := 0
	for _, name := range names {
		if name == "Host" {
			continue
		}
		values := s.r.Header[name]
		if count += len(values); s.lim.Fields > 0 && count > s.lim.Fields {
			return core.Errorf(core.CodeHeadTooLarge, "more than %d header fields", s.lim.Fields)
		}
		if err := checkField(name, values); err != nil {
			return err
		}
		for _, v := range values {
			s.x.BytesIn += int64(len(name) + len(v) + 4)
			h.AddParsed(name, v)
		}
	}
	return nil
}

func checkField(name string, values []string) error {
	switch {
	case name == "Content-Length" && len(values) > 1:
		return bad("more than one content-length")
	case name == "Content-Length":
		if _, ok := http1.ParseLength(values[0]); !ok {
			return bad("content-length %q is not a number of bytes", values[0])
		}
	case name == "Te" && (len(values) > 1 || values[0] != "trailers"):
		return bad("te other than trailers")
	case name != "Te" && http1.HopByHop(name):
		return bad("field %s belongs to a connection", name)
	case strings.EqualFold(name, "Content_Length"), strings.EqualFold(name, "Transfer_Encoding"):
		return bad("field %s, which some servers read as one that frames", name)
	case name == "Expect" && !strings.EqualFold(values[0], "100-continue"):
		return core.Errorf(core.CodeExpectation, "expectation other than 100-continue")
	}
	for _, v := range values {
		if v != strings.Trim(v, " \t") || !httpguts.ValidHeaderFieldValue(v) {
			return bad("value of field %s begins or ends with a blank, or holds a control character", name)
		}
	}
	return nil
}

func (s *stream) openBody() error {
	r := s.r
	if r.ContentLength == 0 {
		return s.checkNoBody()
	}
	if max := s.lim.Body; max > 0 && r.ContentLength > max {
		return core.Errorf(core.CodeBodyTooLarge, "body of %d bytes is above the limit of %d", r.ContentLength, max)
	}
	s.body = requestBody{s: s}
	s.x.Request.Body.Set(&s.body, r.ContentLength)
	return nil
}

// checkNoBody holds a request that says it has no body to it: the library reports a length of 0
// for one without DATA, whatever its content-length, and for a content-length of 0.
func (s *stream) checkNoBody() error {
	declared := s.r.Header.Get("Content-Length")
	if declared == "" {
		return nil
	}
	if n, _ := http1.ParseLength(declared); n > 0 {
		return bad("content-length %s without a body", declared)
	}
	var one [1]byte
	if n, err := s.r.Body.Read(one[:]); n > 0 || err != io.EOF {
		return bad("content-length 0 with a body")
	}
	return nil
}

// requestBody reads the stream's DATA frames.
type requestBody struct {
	s     *stream
	total int64
	done  bool
}

func (b *requestBody) Read(p []byte) (int, error) {
	s := b.s
	if idle := s.lim.BodyIdle; idle > 0 {
		s.ctl.SetReadDeadline(time.Now().Add(idle))
	}
	n, err := s.r.Body.Read(p)
	b.total += int64(n)
	if max := s.lim.Body; max > 0 && b.total > max {
		return 0, core.Errorf(core.CodeBodyTooLarge, "body is above the limit of %d bytes", max)
	}
	switch {
	case err == nil:
		return n, nil
	case err == io.EOF:
		return n, b.trailers()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return n, core.Errorf(core.CodeClientTimeout, "request body paused for longer than %s", s.lim.BodyIdle)
	}
	return n, core.NewError(core.CodeClientClosed, err)
}

// trailers copies the trailer, once, and returns io.EOF unless it is not valid.
func (b *requestBody) trailers() error {
	if b.done {
		return io.EOF
	}
	b.done = true
	s := b.s
	for name, values := range s.r.Trailer {
		if len(values) > 0 && (http1.HopByHop(name) || strings.HasPrefix(name, ":")) {
			return bad("trailer field %s belongs to a connection", name)
		}
		if !http1.AllowedInTrailer(name) {
			continue
		}
		for _, v := range values {
			s.x.Request.Trailer.AddParsed(name, v)
		}
	}
	return io.EOF
}

func (b *requestBody) Close() error { return nil }
