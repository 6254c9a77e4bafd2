package http1

import (
	"strings"

	"github.com/sluiceproxy/sluice/core"
)

// ParseResponse parses a head, as Reader.Head returned it, into resp. method is that of the
// request it answers, which decides whether there is a body (RFC 9112 6.3). Errors are
// *core.Error with the code upstream_protocol.
func ParseResponse(head, method string, resp *core.Response, lim *Limits) (Message, error) {
	m, err := parseResponse(head, method, resp, lim)
	if err != nil {
		return m, core.NewError(core.CodeUpstreamProtocol, cause(err))
	}
	return m, nil
}

// cause takes the code off an error of the parser's: what is the client's fault in a request is
// the endpoint's in a response.
func cause(err error) error {
	if e, ok := core.AsError(err); ok && e.Err != nil {
		return e.Err
	}
	return err
}

func parseResponse(head, method string, resp *core.Response, lim *Limits) (Message, error) {
	line, rest := cutLine(head)
	if err := parseStatusLine(line, resp); err != nil {
		return Message{}, err
	}
	var f fieldState
	f.length = -1
	if err := f.parse(rest, &resp.Header, lim.Fields, nil); err != nil {
		return Message{}, err
	}
	return f.finishResponse(method, resp)
}

func parseStatusLine(line string, resp *core.Response) error {
	const size = len("HTTP/1.1 200")
	if len(line) < size || line[:7] != "HTTP/1." || line[8] != ' ' {
		return bad("status line %q is not HTTP/1.x and a status", clip(line))
	}
	switch line[7] {
	case '1':
		resp.Proto = core.HTTP11
	case '0':
		resp.Proto = core.HTTP10
	default:
		return bad("status line has a version other than HTTP/1.0 and HTTP/1.1")
	}
	status := 0
	for _, c := range []byte(line[9:12]) {
		if c < '0' || c > '9' {
			return bad("status %q is not three digits", line[9:12])
		}
		status = status*10 + int(c-'0')
	}
	if status < 100 || status > 599 {
		return bad("status %d is not between 100 and 599", status)
	}
	resp.Status = status
	if len(line) == size {
		return nil
	}
	if line[size] != ' ' {
		return bad("status line %q has no space after the status", clip(line))
	}
	reason := line[size+1:]
	if !only(reason, isValue) {
		return bad("reason phrase holds a control character")
	}
	if reason != StatusText(status) {
		resp.Reason = reason
	}
	return nil
}

func (f *fieldState) finishResponse(method string, resp *core.Response) (Message, error) {
	m := Message{KeepAlive: f.alive(resp.Proto)}
	if f.nominated {
		dropNominated(&resp.Header)
	}
	switch {
	case f.te > 1 || f.te == 1 && !f.teChunked:
		return m, errCoding
	case f.te == 1 && f.length >= 0:
		return m, bad("both Transfer-Encoding and Content-Length")
	case f.te == 1 && resp.Proto == core.HTTP10:
		return m, bad("Transfer-Encoding in HTTP/1.0")
	}
	if NoBody(method, resp.Status) {
		// Bytes that a wrong endpoint sends all the same are found in the buffer afterwards.
		return m, nil
	}
	switch {
	case f.te == 1:
		m.Length = Chunked
	case f.length >= 0:
		m.Length = f.length
	default:
		m.Length = ToClose
		m.KeepAlive = false
	}
	return m, nil
}

// NoBody reports whether a response with the status to a request with the method has no body
// whatever its fields say (RFC 9112 6.3, 1 and 2).
func NoBody(method string, status int) bool {
	return method == "HEAD" || status < 200 || status == 204 || status == 304 ||
		method == "CONNECT" && status < 300
}

// Forbidden trailer fields: framing, routing, authentication and what decides how the message is
// handled (RFC 9110 6.5.1).
var notInTrailer = []string{
	"Content-Length", "Transfer-Encoding", "Host", "Connection", "Keep-Alive", "Upgrade", "TE",
	"Trailer", "Content-Encoding", "Content-Type", "Content-Range", "Authorization",
	"Proxy-Authorization", "Proxy-Authenticate", "WWW-Authenticate", "Set-Cookie", "Cookie",
	"Cache-Control", "Expect", "Max-Forwards", "Range", "Location", "Vary", "Age", "Expires", "Date",
}

// AllowedInTrailer reports whether a field of the name may be in a trailer.
func AllowedInTrailer(name string) bool {
	for _, no := range notInTrailer {
		if core.EqualFold(name, no) {
			return false
		}
	}
	return !strings.HasPrefix(name, ":")
}

func parseTrailer(s string, h *core.Header, limit int) error {
	for count := 0; ; count++ {
		i := strings.IndexByte(s, '\n')
		if i == 1 {
			return nil
		}
		if limit > 0 && count == limit {
			return core.Errorf(core.CodeHeadTooLarge, "more than %d trailer fields", limit)
		}
		name, value, err := parseField(s[:i-1])
		if err != nil {
			return err
		}
		if AllowedInTrailer(name) {
			h.AddParsed(name, value)
		}
		s = s[i+1:]
	}
}
