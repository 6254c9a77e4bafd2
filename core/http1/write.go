package http1

import (
	"net/http"
	"strconv"

	"github.com/sluiceproxy/sluice/core"
)

// StatusText returns the usual reason phrase of a status, "" when there is none.
func StatusText(status int) string {
	switch status {
	case 200:
		return "OK"
	case 404:
		return "Not Found"
	case 499:
		return "Client Closed Request"
	}
	return http.StatusText(status)
}

// AppendRequest appends a request's head. The body that the caller sends has the length, or is
// Chunked. Fields of the connection (RFC 9110 7.6.1) and of framing are written anew.
func AppendRequest(dst []byte, req *core.Request, length int64) []byte {
	dst = append(dst, req.Method...)
	dst = append(dst, ' ')
	if req.Method == "CONNECT" {
		dst = append(dst, req.Authority...)
	} else {
		dst = req.AppendTarget(dst)
	}
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, req.Authority...)
	dst = append(dst, "\r\n"...)
	trailers := false
	for _, f := range req.Header.Fields() {
		if drop, te := dropRequestField(f); drop {
			trailers = trailers || te
			continue
		}
		dst = appendField(dst, f)
	}
	switch {
	case length == Chunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case length > 0 || sendsLength(req.Method):
		dst = appendLength(dst, length)
	}
	return appendConnection(dst, req, trailers)
}

// sendsLength: RFC 9110 8.6 wants Content-Length: 0 where the method gives a body meaning.
func sendsLength(method string) bool {
	return method == "POST" || method == "PUT" || method == "PATCH"
}

func appendConnection(dst []byte, req *core.Request, trailers bool) []byte {
	switch {
	case req.Upgrade != "" && req.Method != "CONNECT":
		dst = append(dst, "Connection: upgrade\r\nUpgrade: "...)
		dst = append(dst, req.Upgrade...)
		dst = append(dst, "\r\n\r\n"...)
	case trailers:
		dst = append(dst, "Connection: TE\r\nTE: trailers\r\n\r\n"...)
	default:
		dst = append(dst, "\r\n"...)
	}
	return dst
}

func dropRequestField(f core.Field) (drop, trailers bool) {
	switch len(f.Name) {
	case 2:
		if core.EqualFold(f.Name, "TE") {
			return true, core.HasToken(f.Value, "trailers")
		}
	case 4:
		return core.EqualFold(f.Name, "Host"), false
	}
	return hopByHop(f.Name), false
}

// hopByHop reports whether a field belongs to one connection or to framing, so that a proxy
// writes its own or none.
func hopByHop(name string) bool {
	switch len(name) {
	case 7:
		return core.EqualFold(name, "Upgrade")
	case 10:
		return core.EqualFold(name, "Connection") || core.EqualFold(name, "Keep-Alive")
	case 14:
		return core.EqualFold(name, "Content-Length")
	case 16:
		return core.EqualFold(name, "Proxy-Connection")
	case 17:
		return core.EqualFold(name, "Transfer-Encoding")
	}
	return false
}

// HopByHop reports whether a field called name must not be passed from one connection to another.
func HopByHop(name string) bool { return hopByHop(name) || core.EqualFold(name, "TE") }

func appendField(dst []byte, f core.Field) []byte {
	dst = append(dst, f.Name...)
	dst = append(dst, ':', ' ')
	dst = append(dst, f.Value...)
	return append(dst, '\r', '\n')
}

func appendLength(dst []byte, n int64) []byte {
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, '\r', '\n')
}

// ResponseFraming says how a response's body and connection end.
type ResponseFraming struct {
	Length int64 // or Chunked, ToClose; NoLength writes no framing at all
	// KeepAlive is whether another request may follow on the connection.
	KeepAlive bool
	// ClientProto is the version the client speaks: 1.0 has to be told of keep-alive.
	ClientProto core.Proto
}

// NoLength is the framing of responses that have neither body nor Content-Length.
const NoLength int64 = -3

// AppendResponse appends a response's head.
func AppendResponse(dst []byte, resp *core.Response, f ResponseFraming) []byte {
	dst = appendStatusLine(dst, resp.Status, resp.Reason)
	for _, h := range resp.Header.Fields() {
		if !hopByHop(h.Name) {
			dst = appendField(dst, h)
		}
	}
	switch {
	case f.Length == Chunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case f.Length >= 0:
		dst = appendLength(dst, f.Length)
	}
	switch {
	case !f.KeepAlive:
		dst = append(dst, "Connection: close\r\n"...)
	case f.ClientProto == core.HTTP10:
		dst = append(dst, "Connection: keep-alive\r\n"...)
	}
	return append(dst, '\r', '\n')
}

// AppendInterim appends the head of a 1xx response. For 101 upgrade is the protocol.
func AppendInterim(dst []byte, status int, h *core.Header, upgrade string) []byte {
	dst = appendStatusLine(dst, status, "")
	for _, f := range h.Fields() {
		if !hopByHop(f.Name) {
			dst = appendField(dst, f)
		}
	}
	if upgrade != "" {
		dst = append(dst, "Connection: upgrade\r\nUpgrade: "...)
		dst = append(dst, upgrade...)
		dst = append(dst, '\r', '\n')
	}
	return append(dst, '\r', '\n')
}

func appendStatusLine(dst []byte, status int, reason string) []byte {
	if status == 200 && reason == "" {
		return append(dst, "HTTP/1.1 200 OK\r\n"...)
	}
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	if reason == "" {
		reason = StatusText(status)
	}
	dst = append(dst, reason...)
	return append(dst, '\r', '\n')
}

// ChunkHead is the room that a chunk's size line takes before its data, at most.
const ChunkHead = 10

// FrameChunk writes the size line right before the n bytes at p[ChunkHead:] and CRLF behind them,
// and returns the whole chunk. p must have room for both; n must be above 0 and below 2^32.
func FrameChunk(p []byte, n int) []byte {
	const digits = "0123456789abcdef"
	p[ChunkHead-1], p[ChunkHead-2] = '\n', '\r'
	i := ChunkHead - 2
	for v := n; v > 0; v >>= 4 {
		i--
		p[i] = digits[v&15]
	}
	p[ChunkHead+n], p[ChunkHead+n+1] = '\r', '\n'
	return p[i : ChunkHead+n+2]
}

// AppendLastChunk appends the last chunk with the trailer.
func AppendLastChunk(dst []byte, trailer *core.Header) []byte {
	dst = append(dst, "0\r\n"...)
	for _, f := range trailer.Fields() {
		if AllowedInTrailer(f.Name) {
			dst = appendField(dst, f)
		}
	}
	return append(dst, '\r', '\n')
}
