package server

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/certs"
)

// ListenerConfig is one entry of listeners. Its short form is the address alone.
type ListenerConfig struct {
	// Address to listen on: host:port, :port for every address, or unix:/path.
	Address string `yaml:"address,required"`
	// TLS turns TLS on. Default: none.
	TLS *certs.ServerConfig `yaml:"tls"`
	// Protocols spoken: http1, h2. Without TLS h2 is taken by prior knowledge (h2c). Default: both.
	Protocols []string `yaml:"protocols"`
	// ProxyProtocol expects a PROXY protocol header, v1 or v2, on every connection. Connections
	// without one are closed. Default: false.
	ProxyProtocol bool `yaml:"proxy_protocol"`
	// TrustedProxies are addresses or CIDRs of proxies in front of this one, whose
	// X-Forwarded-For and Forwarded name the client. Default: none.
	TrustedProxies []string `yaml:"trusted_proxies"`
	// XForwarded sets X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host on requests. What a
	// client that is not trusted sent in them is replaced. Default: true.
	XForwarded bool `yaml:"x_forwarded"`
	// Forwarded sets the Forwarded field of RFC 7239. Default: false.
	Forwarded bool `yaml:"forwarded"`
	// Via is the name that requests and responses carry in Via; empty for no Via. Default: sluice.
	Via string `yaml:"via"`
	// Order in which routes are tried: specific (the most specific first) or listed. Default: specific.
	Order string `yaml:"order" enum:"specific,listed"`
	// Limits of what a client may send, and how slowly.
	Limits Limits `yaml:"limits"`
	// Filters that see every request of the listener, before it is routed.
	Filters core.FilterList `yaml:"filters"`

	trusted []netip.Prefix
}

// Limits bound what a client may send, and how slowly. 0 is no limit.
type Limits struct {
	// Head is the largest request head; above it 431. Default: 32KiB.
	Head core.Size `yaml:"head"`
	// Fields is the largest number of header fields; above it 431. Default: 100.
	Fields int `yaml:"fields"`
	// Target is the longest request target; above it 414. Default: 16KiB.
	Target core.Size `yaml:"target"`
	// Body is the largest request body; above it 413. Default: 0.
	Body core.Size `yaml:"body"`
	// HeadTime is how long a request head may take from its first byte; then 408. Default: 10s.
	HeadTime core.Duration `yaml:"head_time"`
	// BodyIdle is how long a request body may pause; then 408. Default: 30s.
	BodyIdle core.Duration `yaml:"body_idle"`
	// WriteIdle is how long a client may take nothing of a response; then it is cut. Default: 60s.
	WriteIdle core.Duration `yaml:"write_idle"`
	// KeepAlive is how long a connection may wait for its next request. Default: 75s.
	KeepAlive core.Duration `yaml:"keep_alive"`
	// Requests is how many requests one connection may carry. Default: 0.
	Requests int `yaml:"requests"`
	// Connections is how many connections may be open; further ones are closed at once. Default: 0.
	Connections int `yaml:"connections"`
	// Streams is how many requests may run at once on one HTTP/2 connection. Default: 250.
	Streams int `yaml:"streams"`
}

// Defaults implements core.Defaulter.
func (c *ListenerConfig) Defaults() {
	c.Protocols = []string{"http1", "h2"}
	c.XForwarded = true
	c.Via = "sluice"
	c.Order = "specific"
	c.Limits = Limits{
		Head: 32 << 10, Fields: 100, Target: 16 << 10,
		HeadTime: core.Duration(10 * time.Second), BodyIdle: core.Duration(30 * time.Second),
		WriteIdle: core.Duration(60 * time.Second), KeepAlive: core.Duration(75 * time.Second),
		Streams: 250,
	}
}

// UnmarshalText takes the short form, an address.
func (c *ListenerConfig) UnmarshalText(text []byte) error {
	c.Address = string(text)
	return nil
}

// Validate implements core.Validator.
func (c *ListenerConfig) Validate() error {
	if !strings.HasPrefix(c.Address, "unix:") {
		_, port, err := net.SplitHostPort(c.Address)
		if err != nil {
			return fmt.Errorf("address %q is not host:port: write 127.0.0.1:8080, or :8080 for every address", c.Address)
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return fmt.Errorf("address %q: the port is not a number between 0 and 65535", c.Address)
		}
	}
	for _, p := range c.Protocols {
		if p != "http1" && p != "h2" {
			return fmt.Errorf("protocol %q is not one of http1, h2", p)
		}
	}
	if strings.ContainsFunc(c.Via, func(r rune) bool { return r <= ' ' || r == ',' || r > '~' }) {
		return fmt.Errorf("via %q holds a space, a comma or a byte that is not ASCII", c.Via)
	}
	c.trusted = c.trusted[:0]
	for _, t := range c.TrustedProxies {
		p, err := parsePrefix(t)
		if err != nil {
			return fmt.Errorf("trusted_proxies: %q is neither an address nor a CIDR such as 10.0.0.0/8", t)
		}
		c.trusted = append(c.trusted, p)
	}
	return nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	ip, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(ip, ip.BitLen()), nil
}

func (c *ListenerConfig) speaks(protocol string) bool { return slices.Contains(c.Protocols, protocol) }

func (c *ListenerConfig) trusts(ip netip.Addr) bool {
	for _, p := range c.trusted {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}
