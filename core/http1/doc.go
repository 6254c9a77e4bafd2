// Package http1 is the wire codec of HTTP/1.0 and HTTP/1.1 (RFC 9112), both directions: heads,
// bodies and trailers, to and from core.Request and core.Response. It is strict: what two
// implementations could read differently is an error. It opens no connection and decides no
// policy; core/server and core/transport do.
//
// A message head is copied once, into a string of which every part is a substring. Read reader.go,
// request.go and body.go in this order.
package http1
