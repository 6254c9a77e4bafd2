package upstream

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/metrics"
)

// Config is an upstream in the configuration.
type Config struct {
	// Endpoints are the addresses that requests are sent to: "host:port", "unix:/path", or a
	// mapping with a weight. No address may stand twice.
	Endpoints []EndpointConfig `yaml:"endpoints,required"`
	// Balance says which endpoint gets a request. Default: round_robin.
	Balance Balance `yaml:"balance"`
	// Timeout bounds each step of a try.
	Timeout Timeout `yaml:"timeout"`
	// Eject takes endpoints that fail, or are slow, out for a while. Not given: none is.
	Eject *Eject `yaml:"eject"`
	// Health has the endpoints checked all the time. Not given: none is.
	Health *Health `yaml:"health"`
	// Panic is the share of endpoints that must be available: below it all of them are used,
	// ejected and unhealthy ones too, because the rest would not bear the load. When none is
	// available all are used in any case. Default: 0%.
	// Range: 0% to 100%.
	Panic core.Percent `yaml:"panic"`
	// SlowStart is how long an endpoint that is new or has come back takes to get its full share.
	// It has no effect on balance hash. Default: 0s, at once.
	SlowStart core.Duration `yaml:"slow_start"`
	// Limits bound what is under way at the same time.
	Limits Limits `yaml:"limits"`
	// Pool says how many idle connections are kept.
	Pool Pool `yaml:"pool"`
	// Protocol is what is spoken to the endpoints: http1, h2 (HTTP/2 over TLS), h2c (HTTP/2
	// without TLS), or auto (what the TLS handshake settles on, else http1). Default: http1.
	Protocol string `yaml:"protocol" enum:"http1,h2,h2c,auto"`
	// TLS has the connections encrypted. Not given: plain.
	TLS *TLS `yaml:"tls"`
	// Host is what goes upstream as Host or :authority: preserve, what the client sent; endpoint,
	// the endpoint's address; or a template. Default: preserve.
	Host *core.Template `yaml:"host"`
	// Filters wrap each call to the upstream, in order.
	Filters core.FilterList `yaml:"filters"`

	// Dir is the folder that relative paths are meant from, set by who loads the configuration.
	// "" is the process's own.
	Dir string `yaml:"-"`
	// Stats counts the tries at each endpoint, set by who loads the configuration. nil counts none.
	Stats *metrics.UpstreamStats `yaml:"-"`
}

// Defaults implements core.Defaulter.
func (c *Config) Defaults() {
	c.Balance.Defaults()
	c.Timeout.Defaults()
	c.Limits.Defaults()
	c.Pool.Defaults()
	c.Protocol = "http1"
}

// Validate implements core.Validator.
func (c *Config) Validate() error {
	if len(c.Endpoints) == 0 {
		return errors.New("endpoints is empty: list at least one address, such as 10.0.0.1:8080")
	}
	if len(c.Endpoints) > MaxEndpoints {
		return fmt.Errorf("%d endpoints: the most is %d", len(c.Endpoints), MaxEndpoints)
	}
	seen := make(map[string]bool, len(c.Endpoints))
	for i := range c.Endpoints {
		e := &c.Endpoints[i]
		if err := e.Validate(); err != nil {
			return err
		}
		if seen[e.Address] {
			return fmt.Errorf("endpoint %s is listed twice: give it a weight instead", e.Address)
		}
		seen[e.Address] = true
	}
	if c.Panic > 1 {
		return fmt.Errorf("panic is %s: the highest is 100%%", c.Panic)
	}
	if _, ok := protocols[c.Protocol]; !ok {
		return fmt.Errorf("protocol is %q: write http1, h2, h2c or auto", c.Protocol)
	}
	if c.Protocol == "h2" && c.TLS == nil {
		return errors.New("protocol h2 is HTTP/2 over TLS and tls is not given: add tls, or write h2c")
	}
	if c.Protocol == "h2c" && c.TLS != nil {
		return errors.New("protocol h2c is HTTP/2 without TLS and tls is given: remove tls, or write h2")
	}
	return c.validateParts()
}

func (c *Config) validateParts() error {
	parts := []core.Validator{&c.Balance, &c.Limits, &c.Pool}
	if c.Eject != nil {
		parts = append(parts, c.Eject)
	}
	if c.Health != nil {
		parts = append(parts, c.Health)
	}
	if c.TLS != nil {
		parts = append(parts, c.TLS)
	}
	for _, p := range parts {
		if err := p.Validate(); err != nil {
			return err
		}
	}
	return nil
}

const (
	// MaxEndpoints is how many endpoints an upstream can have.
	MaxEndpoints = 10_000
	// MaxWeight is the highest weight of an endpoint.
	MaxWeight = 1000
)

// EndpointConfig is one endpoint in the configuration. Its short form is the address.
type EndpointConfig struct {
	// Address is host:port, or unix:/path of a socket. A host name is resolved for each connection.
	Address string `yaml:"address,required"`
	// Weight is the endpoint's share of the requests, relative to the others'. 0 drains it: it
	// gets only what a filter sends to it by name. Default: 1. Range: 0 to 1000.
	Weight int `yaml:"weight"`
	// Metadata is for filters to read.
	Metadata map[string]string `yaml:"metadata"`
}

// Defaults implements core.Defaulter.
func (e *EndpointConfig) Defaults() { e.Weight = 1 }

// UnmarshalText takes the short form.
func (e *EndpointConfig) UnmarshalText(text []byte) error {
	*e = EndpointConfig{Address: string(text), Weight: 1}
	return nil
}

// Validate implements core.Validator.
func (e *EndpointConfig) Validate() error {
	if e.Weight < 0 || e.Weight > MaxWeight {
		return fmt.Errorf("endpoint %s has the weight %d: the range is 0 to %d", e.Address, e.Weight, MaxWeight)
	}
	return checkAddress(e.Address)
}

func checkAddress(address string) error {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if path == "" {
			return fmt.Errorf("endpoint %q names no socket: write unix:/path", address)
		}
		return nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return fmt.Errorf("endpoint %q is not host:port, such as 10.0.0.1:8080 or [::1]:8080", address)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return fmt.Errorf("endpoint %q has the port %q: the range is 1 to 65535", address, port)
	}
	return nil
}

// Timeout bounds the steps of a try. 0 is no bound.
type Timeout struct {
	// Connect is how long a connection may take, with its TLS handshake. Default: 1s.
	Connect core.Duration `yaml:"connect"`
	// Try is how long one try may take until the response head is there, and how long a request
	// waits at most for its turn at the limits. Default: 30s.
	Try core.Duration `yaml:"try"`
	// Total is how long all tries together may take until the response head is there. Default: 0s.
	Total core.Duration `yaml:"total"`
	// Idle is how long the endpoint may be silent within a response. Default: 60s.
	Idle core.Duration `yaml:"idle"`
}

// Defaults implements core.Defaulter.
func (t *Timeout) Defaults() {
	*t = Timeout{
		Connect: core.Duration(time.Second),
		Try:     core.Duration(30 * time.Second),
		Idle:    core.Duration(time.Minute),
	}
}

// Limits bound what is under way. 0 is no limit.
type Limits struct {
	// Requests is how many tries may be under way at all endpoints together, responses that are
	// still being read included. Default: 0.
	Requests int `yaml:"requests"`
	// Connections is how many connections may be in use at all endpoints together. Idle ones do
	// not count: pool bounds those. HTTP/2 needs few and is not bound by it. Default: 0.
	Connections int `yaml:"connections"`
	// EndpointRequests is how many tries may be under way at one endpoint. Default: 0.
	EndpointRequests int `yaml:"endpoint_requests"`
	// EndpointConnections is how many connections to one endpoint there may be, idle ones
	// included. Default: 0.
	EndpointConnections int `yaml:"endpoint_connections"`
	// Pending is how many requests may wait when a limit is reached, first come first served, for
	// timeout.try at most. Those above it fail with upstream_overflow. 0: none waits. Default: 1024.
	Pending int `yaml:"pending"`
}

// Defaults implements core.Defaulter.
func (l *Limits) Defaults() { l.Pending = 1024 }

// Validate implements core.Validator.
func (l *Limits) Validate() error {
	if min(l.Requests, l.Connections, l.EndpointRequests, l.EndpointConnections, l.Pending) < 0 {
		return errors.New("a limit is below zero: 0 is no limit")
	}
	return nil
}

// Pool says what is kept for the next request.
type Pool struct {
	// Idle is how many idle connections to each endpoint are kept; 0 keeps none. Default: 128.
	Idle int `yaml:"idle"`
	// IdleTimeout is how long each of them is kept; it should be below the endpoint's own
	// keep-alive time. 0 is for ever. Default: 60s.
	IdleTimeout core.Duration `yaml:"idle_timeout"`
}

// Defaults implements core.Defaulter.
func (p *Pool) Defaults() { *p = Pool{Idle: 128, IdleTimeout: core.Duration(time.Minute)} }

// Validate implements core.Validator.
func (p *Pool) Validate() error {
	if p.Idle < 0 {
		return fmt.Errorf("pool.idle is %d: 0 keeps no connection", p.Idle)
	}
	return nil
}
