// Package http2 carries HTTP/2 (RFC 9113) into and out of the same core.Exchange as HTTP/1.1, over
// net/http. A Front reads streams into exchanges and writes what they leave; a ClientConn sends
// exchanges to an endpoint. What net/http lets through and HTTP/1.1 could read differently is
// refused here, since streams are forwarded to HTTP/1.1 endpoints.
//
// The library hands over no trailer field that the request's Trailer field does not announce: the
// others are dropped before anybody sees them.
//
// Extended CONNECT (RFC 8441), WebSocket over HTTP/2, is not offered: clients then open an
// HTTP/1.1 connection for it. Read front.go and client.go.
package http2
