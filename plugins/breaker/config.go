package breaker

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/core"
)

// Config is the YAML of the filter breaker. At least one of failures, consecutive and slow must be
// given; the first that holds opens the breaker.
type Config struct {
	// Failures opens when at least this share of the exchanges of the window has failed, and there
	// were as many as Of. Default: not looked at. Range: above 0% to 100%.
	Failures core.Percent `yaml:"failures"`

	// Of is how many exchanges the window must hold before Failures and Slow are looked at.
	// Default: 20. Range: 1 or more.
	Of int `yaml:"of"`

	// Window is how long an exchange counts for Failures and Slow. Default: 10s. Range: 100ms to 1h.
	Window core.Duration `yaml:"window"`

	// Consecutive opens after this many failures in a row. Default: 0, not looked at.
	Consecutive int `yaml:"consecutive"`

	// Slow opens when too many response heads come late. Default: not looked at.
	Slow *SlowConfig `yaml:"slow"`

	// Open is how long the breaker stays open before it lets probes through. With a range, as in
	// 5s..60s, the time doubles from the lower to the upper end while probes fail, and begins anew
	// once it has closed. Default: 5s. Range: 1ms or more.
	Open core.DurationRange `yaml:"open"`

	// HalfOpen says how it closes again.
	HalfOpen HalfOpenConfig `yaml:"half_open"`

	// By is what is broken: scope (all that goes through the list the filter stands in), upstream
	// or endpoint (in the filters of an upstream), route (in those of a route or an upstream), or a
	// template such as $http_x_tenant: each value it has is broken apart from the others, and an
	// exchange for which it is empty passes. Default: scope.
	By string `yaml:"by"`

	// On lists the outcomes that count as failures: connect, refused, reset, timeout, 4xx, 5xx,
	// gateway-error, retriable-4xx, a status such as 503, a gRPC status such as grpc:unavailable.
	// reset and timeout include a body that broke off. An error that is not listed counts as
	// nothing. Default: [5xx, connect, reset, timeout].
	On []core.Outcome `yaml:"on"`

	// MaxKeys is how many routes, endpoints or values of a template are told apart; those that were
	// not used for the longest time are forgotten first. Default: 10000. Range: 16 to 1000000.
	MaxKeys int `yaml:"max_keys"`
}

// SlowConfig says when too many exchanges are slow.
type SlowConfig struct {
	// Over is the time from the breaker to the response head from which an exchange is slow; what
	// the client takes to upload a body is in it.
	Over core.Duration `yaml:"over,required"`

	// Share opens when at least this share of the exchanges of the window was slow. Default: 50%.
	// Range: above 0% to 100%.
	Share core.Percent `yaml:"share"`
}

// HalfOpenConfig says how a breaker that was open long enough closes again. Short form: a number
// that is both.
type HalfOpenConfig struct {
	// Probes is how many exchanges are let through at the same time. Default: 1. Range: 1 or more.
	Probes int `yaml:"probes"`

	// Successes is how many of them must succeed, in all, to close it; one failure opens it again.
	// Default: 1. Range: 1 or more.
	Successes int `yaml:"successes"`
}

// Defaults implements core.Defaulter.
func (c *Config) Defaults() {
	c.Of = 20
	c.Window = core.Duration(10 * time.Second)
	c.Open = core.DurationRange{Min: core.Duration(5 * time.Second), Max: core.Duration(5 * time.Second)}
	c.HalfOpen.Defaults()
	c.By = "scope"
	for _, name := range []string{"5xx", "connect", "reset", "timeout"} {
		var o core.Outcome
		if o.UnmarshalText([]byte(name)) == nil {
			c.On = append(c.On, o)
		}
	}
	c.MaxKeys = 10000
}

// Validate implements core.Validator.
func (c *Config) Validate() error {
	switch {
	case c.Failures == 0 && c.Consecutive == 0 && c.Slow == nil:
		return errors.New("nothing opens it: write failures: 50%, consecutive: 5 or slow: {over: 500ms}")
	case c.Failures > 1:
		return fmt.Errorf("failures: %s is above 100%%", c.Failures)
	case c.Of < 1:
		return fmt.Errorf("of: %d is below 1", c.Of)
	case c.Window.Std() < 100*time.Millisecond || c.Window.Std() > time.Hour:
		return fmt.Errorf("window: %s is not between 100ms and 1h", c.Window)
	case c.Consecutive < 0:
		return fmt.Errorf("consecutive: %d is below zero", c.Consecutive)
	case c.Open.Min.Std() < time.Millisecond:
		return fmt.Errorf("open: %s is below 1ms", c.Open.Min)
	case c.MaxKeys < 16 || c.MaxKeys > 1e6:
		return fmt.Errorf("max_keys: %d is not between 16 and 1000000", c.MaxKeys)
	}
	return nil
}

// Defaults implements core.Defaulter.
func (s *SlowConfig) Defaults() { s.Share = 0.5 }

// Validate implements core.Validator.
func (s *SlowConfig) Validate() error {
	if s.Over == 0 {
		return errors.New("over: 0s makes every exchange slow")
	}
	if s.Share <= 0 || s.Share > 1 {
		return fmt.Errorf("share: %s is not above 0%% and up to 100%%", s.Share)
	}
	return nil
}

// Defaults implements core.Defaulter.
func (h *HalfOpenConfig) Defaults() { h.Probes, h.Successes = 1, 1 }

// UnmarshalText parses the short form.
func (h *HalfOpenConfig) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a number of probes", text)
	}
	h.Probes, h.Successes = n, n
	return h.Validate()
}

// Validate implements core.Validator.
func (h *HalfOpenConfig) Validate() error {
	if h.Probes < 1 || h.Successes < 1 {
		return errors.New("probes and successes must be 1 or more")
	}
	return nil
}

// by is what a breaker tells apart.
type by uint8

const (
	byScope by = iota
	byEndpoint
	byRoute
	byTemplate
)

// parseBy checks by against where the filter stands: what is chosen further down the path of a
// request is not known yet above it.
func parseBy(text string, scope core.Scope) (by, *core.Template, error) {
	switch text {
	case "scope":
		return byScope, nil, nil
	case "upstream":
		if scope != core.ScopeUpstream {
			return 0, nil, fmt.Errorf("by: upstream: the upstream is not chosen yet in the filters of a %s: "+
				"move the breaker to the filters of the upstream", scope)
		}
		return byScope, nil, nil
	case "endpoint":
		if scope != core.ScopeUpstream {
			return 0, nil, fmt.Errorf("by: endpoint: the upstream is not chosen yet in the filters of a %s: "+
				"move the breaker to the filters of the upstream", scope)
		}
		return byEndpoint, nil, nil
	case "route":
		if scope == core.ScopeListener {
			return 0, nil, errors.New("by: route: the route is not known yet in the filters of a listener: " +
				"move the breaker to the filters of the route")
		}
		return byRoute, nil, nil
	}
	if !strings.Contains(text, "$") {
		return 0, nil, fmt.Errorf("by: %q is not scope, upstream, endpoint or route, and holds no variable", text)
	}
	t, err := core.ParseTemplate(text)
	if err != nil {
		return 0, nil, fmt.Errorf("by: %w", err)
	}
	return byTemplate, t, nil
}
