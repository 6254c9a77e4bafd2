package origin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/core"
)

// Config says how an origin answers. The zero value answers 200 and a greeting.
type Config struct {
	// Listen are the addresses to listen on; default 127.0.0.1:9000. Each answers with its own
	// address as name unless Name is given.
	Listen []string
	// Name is what the response header X-Origin says; default the address.
	Name string
	// Text is the body; default a greeting.
	Text string
	// Status is the status of an answer; default 200.
	Status int
	// Size replaces the text by a body of that many bytes.
	Size core.Size
	// Latency is how long an answer takes, Jitter how much it may be off either way.
	Latency, Jitter core.Duration
	// FailureRate is the share of requests that are answered with 503.
	FailureRate core.Percent
	// ResetRate is the share of requests that are cut off with a TCP reset, or RST_STREAM.
	ResetRate core.Percent
	// Chunked sends the body without its length, in pieces.
	Chunked bool
	// Stream answers with server-sent events, one each Tick, until the client leaves or Ticks
	// have been sent.
	Stream bool
	// Tick is the time between two events; default 1s.
	Tick core.Duration
	// Ticks is the number of events; 0 for no end.
	Ticks int
	// Echo answers with the request as JSON.
	Echo bool
	// GRPC answers gRPC calls, whatever their method, with the messages they sent. The metadata
	// x-origin-repeat: N sends each message N times, as a server stream does. It implies H2C.
	GRPC bool
	// H2C also speaks HTTP/2 without TLS.
	H2C bool
	// TLSCert and TLSKey are PEM files; with them the origin speaks TLS, and HTTP/2 by ALPN.
	TLSCert, TLSKey string
}

// Origin is a running origin.
type Origin struct {
	servers   []*http.Server
	addresses []string
	serving   sync.WaitGroup
	errs      chan error // the first error of each server, nil when it was closed
}

// Start listens on every address and serves. An error leaves nothing listening.
func Start(c Config) (*Origin, error) {
	c.defaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	cert, err := c.certificate()
	if err != nil {
		return nil, err
	}
	listeners, err := listen(c.Listen)
	if err != nil {
		return nil, err
	}
	o := &Origin{errs: make(chan error, len(listeners))}
	for _, l := range listeners {
		o.serve(l, c, cert)
	}
	return o, nil
}

func (c *Config) defaults() {
	if len(c.Listen) == 0 {
		c.Listen = []string{"127.0.0.1:9000"}
	}
	if c.Status == 0 {
		c.Status = http.StatusOK
	}
	if c.Tick == 0 {
		c.Tick = core.Duration(time.Second)
	}
	c.H2C = c.H2C || c.GRPC
}

func (c *Config) validate() error {
	switch {
	case c.Status < 200 || c.Status > 999:
		return fmt.Errorf("status %d is not a final status: use 200 to 999", c.Status)
	case c.FailureRate+c.ResetRate > 1:
		return fmt.Errorf("failure rate %v and reset rate %v are more than 100%% together", c.FailureRate, c.ResetRate)
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return errors.New("TLS needs both a certificate and a key file")
	case c.Stream && c.Echo:
		return errors.New("an answer is either a stream or an echo")
	}
	return nil
}

func (c *Config) certificate() (*tls.Config, error) {
	if c.TLSCert == "" {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", c.TLSCert, err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}}, nil
}

func listen(addresses []string) ([]net.Listener, error) {
	var out []net.Listener
	for _, address := range addresses {
		l, err := net.Listen("tcp", address)
		if err != nil {
			for _, open := range out {
				open.Close()
			}
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

func (o *Origin) serve(l net.Listener, c Config, cert *tls.Config) {
	address := l.Addr().String()
	if c.Name == "" {
		c.Name = address
	}
	if c.Text == "" {
		c.Text = "hello from " + c.Name + "\n"
	}
	s := &http.Server{
		Handler: newAnswer(c), TLSConfig: cert, Protocols: new(http.Protocols),
		ReadHeaderTimeout: time.Minute,
	}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(cert != nil)
	s.Protocols.SetUnencryptedHTTP2(cert == nil && c.H2C)
	o.servers = append(o.servers, s)
	o.addresses = append(o.addresses, address)
	o.serving.Go(func() {
		err := serve(s, l)
		if errors.Is(err, http.ErrServerClosed) {
			err = nil
		}
		o.errs <- err
	})
}

func serve(s *http.Server, l net.Listener) error {
	if s.TLSConfig != nil {
		return s.ServeTLS(l, "", "")
	}
	return s.Serve(l)
}

// Addresses returns what the origin listens on, in the order of Config.Listen.
func (o *Origin) Addresses() []string { return o.addresses }

// Wait returns when a server has ended: nil after Close, else why.
func (o *Origin) Wait() error { return <-o.errs }

// Shutdown stops accepting and waits for the answers that are under way, until ctx ends.
func (o *Origin) Shutdown(ctx context.Context) error {
	var errs []error
	for _, s := range o.servers {
		errs = append(errs, s.Shutdown(ctx))
	}
	return errors.Join(errs...)
}

// Close cuts every connection and waits until nothing runs any more.
func (o *Origin) Close() {
	for _, s := range o.servers {
		s.Close()
	}
	o.serving.Wait()
}
