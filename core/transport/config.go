package transport

import (
	"crypto/tls"
	"log/slog"
	"time"

	"github.com/sluiceproxy/sluice/core"
)

// Protocol is what is spoken to an endpoint.
type Protocol uint8

// The protocols.
const (
	HTTP1 Protocol = iota
	H2             // HTTP/2 over TLS
	H2C            // HTTP/2 without TLS, by prior knowledge
	Auto           // over TLS what ALPN settles on, else HTTP/1.1
)

// Config says how to reach an endpoint. The zero value of a time is no limit.
type Config struct {
	Connect   time.Duration // until the connection is there, TLS included
	Try       time.Duration // until the response head is there, from the beginning of the try
	Idle      time.Duration // between two reads of the body, or two writes
	KeepIdle  int           // connections kept while nobody uses them
	KeepFor   time.Duration // how long each of them is kept
	MaxConns  int           // 0: no limit
	TLS       *tls.Config   // nil: plain
	Protocol  Protocol
	HeadLimit int // bytes of a response head; 0: DefaultHeadLimit
	Log       *slog.Logger
}

// DefaultHeadLimit is the largest response head taken.
const DefaultHeadLimit = 64 << 10

// maxFields is the largest number of fields in a response head.
const maxFields = 256

// Ender is told when a try has ended.
type Ender interface {
	// AttemptEnded is called once for each RoundTrip that returned nil, when the response's last
	// byte was read (err nil), its body failed, or it was given up (http1.ErrBodyClosed). It may be
	// called before RoundTrip returns, on the goroutine that reads the body.
	AttemptEnded(x *core.Exchange, err error)
}
