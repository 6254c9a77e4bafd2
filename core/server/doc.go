// Package server holds the listeners and the front ends: it accepts connections, reads requests
// into exchanges, runs the listener's handler and writes what it left. HTTP/1.x is read by
// core/http1 in conn.go; HTTP/2 connections go to core/http2. It swaps configurations without
// dropping an exchange. Read server.go, then conn.go.
package server
