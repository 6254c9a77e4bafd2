package upstream_test

import (
	"encoding"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/upstream"
)

func TestAWrongConfigurationSaysWhatToChange(t *testing.T) {
	type c = upstream.Config
	for _, c := range []struct {
		change func(c *upstream.Config)
		want   string
	}{
		{func(c *c) { c.Endpoints = nil }, "endpoints is empty: list at least one address"},
		{func(c *c) { c.Endpoints[1].Address = "a:1" }, "endpoint a:1 is listed twice: give it a weight"},
		{func(c *c) { c.Endpoints[0].Address = "shop.internal" }, `"shop.internal" is not host:port`},
		{func(c *c) { c.Endpoints[0].Address = ":80" }, `":80" is not host:port`},
		{func(c *c) { c.Endpoints[0].Address = "a:70000" }, "the range is 1 to 65535"},
		{func(c *c) { c.Endpoints[0].Address = "unix:" }, "write unix:/path"},
		{func(c *c) { c.Endpoints[0].Weight = 1001 }, "the range is 0 to 1000"},
		{func(c *c) { c.Balance.Policy = "fastest" }, `"fastest" is not known: write round_robin, least`},
		{func(c *c) { c.Balance.Policy = "hash" }, "balance hash needs a key"},
		{func(c *c) { c.Balance.Key = new(core.Template) }, "balance round_robin takes no key"},
		{func(c *c) { c.Balance.Table = "tree" }, "write ring or maglev"},
		{func(c *c) { c.Balance.Policy, c.Balance.Decay = "ewma", 0 }, "decay is 0"},
		{func(c *c) { c.Panic = 1.5 }, "panic is 150%"},
		{func(c *c) { c.Protocol = "h3" }, "write http1, h2, h2c or auto"},
		{func(c *c) { c.Protocol = "h2" }, "add tls, or write h2c"},
		{func(c *c) { c.Protocol, c.TLS = "h2c", new(upstream.TLS) }, "remove tls, or write h2"},
		{func(c *c) { c.TLS = &upstream.TLS{Cert: "x.pem"} }, "tls.cert and tls.key go together"},
		{func(c *c) { c.TLS = &upstream.TLS{Pins: []string{"x"}} }, `"x" is not the base64 of a SHA-256 sum`},
		{func(c *c) { c.TLS = &upstream.TLS{CA: "/no/such/ca.pem"} }, "/no/such/ca.pem"},
		{func(c *c) { c.TLS = &upstream.TLS{MinVersion: "1.1"} }, "write 1.2 or 1.3"},
		{func(c *c) { c.Limits.Pending = -1 }, "a limit is below zero"},
		{func(c *c) { c.Pool.Idle = -1 }, "pool.idle is -1"},
		{ejecting(func(e *upstream.Eject) { e.For.Min = 0 }), "eject.for begins with 0"},
		{ejecting(func(e *upstream.Eject) { e.Max = 2 }), "eject.max is 200%"},
		{ejecting(func(e *upstream.Eject) { e.Consecutive = -1 }), "eject.consecutive is -1"},
		{ejecting(func(e *upstream.Eject) { e.Slow = &upstream.Slow{Factor: 1} }), "slow.factor is 1"},
		{ejecting(func(e *upstream.Eject) { e.SuccessRate = &upstream.SuccessRate{Below: 0.5} }), "success_rate.window is 0s"},
		{ejecting(func(e *upstream.Eject) {
			if err := e.Errors[0].UnmarshalText([]byte("grpc:unavailable")); err != nil {
				t.Fatal(err)
			}
		}), "eject.errors holds a gRPC status"},
		{health(func(h *upstream.Health) { h.Path = "healthz" }), `"healthz" does not begin with /`},
		{health(func(h *upstream.Health) { h.Method = "A B" }), `health.method "A B"`},
		{health(func(h *upstream.Health) { h.Every = 0 }), "health.every is 0"},
		{health(func(h *upstream.Health) { h.Status = nil }), "health.status is empty"},
		{health(func(h *upstream.Health) { h.Healthy = 0 }), "must be at least 1"},
	} {
		u, err := upstream.New("shop", config(ones(2), c.change), nil, nil, slog.New(slog.DiscardHandler))
		if err == nil {
			u.Close()
			t.Errorf("no error, want one that says %q", c.want)
			continue
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("got the error %q, want one that says %q", err, c.want)
		}
	}
}

func TestShortForms(t *testing.T) {
	for _, c := range []struct {
		into interface {
			encoding.TextUnmarshaler
			core.Validator
		}
		text string
		ok   bool
	}{
		{new(upstream.EndpointConfig), "10.0.0.1:80", true},
		{new(upstream.EndpointConfig), "[::1]:80", true},
		{new(upstream.EndpointConfig), "unix:/run/shop.sock", true},
		{new(upstream.EndpointConfig), "10.0.0.1", false},
		{new(upstream.Balance), "ewma", true},
		{new(upstream.Balance), "hash", false},
		{new(upstream.StatusRange), "204", true},
		{new(upstream.StatusRange), "200-399", true},
		{new(upstream.StatusRange), "399-200", false},
		{new(upstream.StatusRange), "ok", false},
		{new(upstream.StatusRange), "100-200", false},
	} {
		err := c.into.UnmarshalText([]byte(c.text))
		if err == nil {
			err = c.into.Validate()
		}
		if (err == nil) != c.ok {
			t.Errorf("%q: got the error %v, want it accepted: %v", c.text, err, c.ok)
		}
	}
}

func TestARenewedCertificateMakesNewConnections(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	w := newWorld(t)
	option := func(c *upstream.Config) {
		c.TLS = &upstream.TLS{CA: filepath.Base(ca)}
		c.Dir = filepath.Dir(ca)
	}
	var last *upstream.Upstream
	for i, pem := range []string{newCA(t), "", newCA(t)} {
		if pem != "" {
			if err := os.WriteFile(ca, []byte(pem), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		u := w.open(config(ones(1), option))
		if last != nil {
			last.Close()
		}
		last = u
		if got, want := w.at("a:1").opened, 1+i/2; got != want {
			t.Errorf("generation %d: %d pools were opened so far, want %d", i+1, got, want)
		}
	}
	last.Close()
}
