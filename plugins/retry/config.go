package retry

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/core"
)

// Config is the YAML of the filter retry.
type Config struct {
	// On lists the outcomes that are tried again: connect, refused, reset, timeout, 4xx, 5xx,
	// gateway-error (502, 503, 504), retriable-4xx (409, 425, 429), a status such as 503, a gRPC
	// status such as grpc:unavailable or grpc:14. Default: [connect, refused, reset].
	On []core.Outcome `yaml:"on"`

	// Max is how many more tries there may be after the first. Default: 1. Range: 0 to 20; 0 only
	// hedges.
	Max int `yaml:"max"`

	// Methods lists the methods that may be tried again after some of the request was sent: names,
	// idempotent (GET, HEAD, OPTIONS, TRACE, PUT and DELETE) or any. When nothing was sent, every
	// method is tried again. Default: idempotent.
	Methods []string `yaml:"methods"`

	// Backoff is how long to wait before a retry: the first time the lower end, then a random time
	// from the lower end to three times the wait before, at most the upper end (decorrelated
	// jitter). 0s does not wait. Default: 10ms..1s.
	Backoff core.DurationRange `yaml:"backoff"`

	// RetryAfter is the longest that a Retry-After of the endpoint makes a retry wait, since the
	// next try prefers another endpoint. 0s ignores the field. Default: 1s.
	RetryAfter core.Duration `yaml:"retry_after"`

	// Budget limits retries and hedges to a share of the requests, as in "20%", so that retries do
	// not bring down what is merely slow; none for no limit. It survives reloads.
	Budget BudgetConfig `yaml:"budget"`

	// Buffer is how much of a request body is kept for replay while it streams. A request with a
	// longer body is not tried again once more than that was read. Default: 64KiB.
	Buffer core.Size `yaml:"buffer"`

	// Try is the time each try has until its response head, in place of the upstream's
	// timeout.try. Default: the upstream's.
	Try core.Duration `yaml:"try"`

	// Hedge sends another try while one is still out. It needs a method that may be tried again
	// and a request without a body, or with one that a filter has buffered. Default: none.
	Hedge *HedgeConfig `yaml:"hedge"`
}

// BudgetConfig is Finagle's retry budget: each request puts one token into a bucket from which it
// leaks after TTL, each retry takes 1/Percent tokens out. Short form: a percentage, or none.
type BudgetConfig struct {
	// Percent is how many retries there may be for the requests of the last TTL. Default: 20%.
	// Range: 0% to 100000%.
	Percent core.Percent `yaml:"percent"`

	// TTL is how long a request counts. Default: 10s. Range: 1s to 60s.
	TTL core.Duration `yaml:"ttl"`

	// MinPerSecond is how many retries there may be each second in any case, averaged over TTL,
	// for those who send few requests. Default: 10.
	MinPerSecond int `yaml:"min_per_second"`

	none bool
}

// HedgeConfig says when another try is sent while one is out. Short form: what After is.
type HedgeConfig struct {
	// After is how long the tries before have gone without an answer: a time such as 50ms, or a
	// percentile of the latency seen lately such as p95. Before 50 answers were seen, a percentile
	// does not hedge.
	After HedgeAfter `yaml:"after,required"`

	// Max is how many tries may be sent beside the first. Default: 1. Range: 1 to 5.
	Max int `yaml:"max"`

	// Percent is the share of the requests of the last 10 s that may be hedged. A hedge takes from
	// the budget of the retries as well. Default: 10%.
	Percent core.Percent `yaml:"percent"`

	// MinPerSecond is how many hedges there may be each second whatever Percent says, averaged
	// over 10 s. Default: 1.
	MinPerSecond int `yaml:"min_per_second"`
}

// HedgeAfter is a time, 50ms, or a percentile, p95.
type HedgeAfter struct {
	fixed    time.Duration
	quantile float64 // 0.95 for p95; 0 for a fixed time
}

// Defaults implements core.Defaulter.
func (c *Config) Defaults() {
	for _, name := range []string{"connect", "refused", "reset"} {
		var o core.Outcome
		if o.UnmarshalText([]byte(name)) == nil {
			c.On = append(c.On, o)
		}
	}
	c.Max = 1
	c.Methods = []string{"idempotent"}
	c.Backoff = core.DurationRange{Min: core.Duration(10 * time.Millisecond), Max: core.Duration(time.Second)}
	c.RetryAfter = core.Duration(time.Second)
	c.Budget.Defaults()
	c.Buffer = 64 << 10
}

// Validate implements core.Validator.
func (c *Config) Validate() error {
	if c.Max < 0 || c.Max > 20 {
		return fmt.Errorf("max: %d is not between 0 and 20", c.Max)
	}
	if c.Max == 0 && c.Hedge == nil {
		return fmt.Errorf("max: 0 without hedge does nothing: write 1 or more, or leave the filter out")
	}
	if len(c.Methods) == 0 {
		return fmt.Errorf("methods: the list is empty: write idempotent, any, or names such as GET")
	}
	if core.NewOutcomeSet(c.On).GRPC() && !newMethods(c.Methods).has("POST") {
		return fmt.Errorf("on: a gRPC status is never seen, as gRPC calls are POST: write methods: [idempotent, POST]")
	}
	return nil
}

// Defaults implements core.Defaulter.
func (b *BudgetConfig) Defaults() {
	*b = BudgetConfig{Percent: 0.2, TTL: core.Duration(10 * time.Second), MinPerSecond: 10}
}

// UnmarshalText parses the short form.
func (b *BudgetConfig) UnmarshalText(text []byte) error {
	b.Defaults()
	if string(text) == "none" {
		b.none = true
		return nil
	}
	if err := b.Percent.UnmarshalText(text); err != nil {
		return fmt.Errorf("%w, or none", err)
	}
	return b.Validate()
}

// Validate implements core.Validator.
func (b *BudgetConfig) Validate() error {
	if ttl := b.TTL.Std(); ttl < time.Second || ttl > time.Minute {
		return fmt.Errorf("ttl: %s is not between 1s and 60s", b.TTL)
	}
	if b.Percent > 1000 {
		return fmt.Errorf("percent: %s is above 100000%%", b.Percent)
	}
	if b.MinPerSecond < 0 {
		return fmt.Errorf("min_per_second: %d is below zero", b.MinPerSecond)
	}
	return nil
}

// Defaults implements core.Defaulter.
func (h *HedgeConfig) Defaults() {
	*h = HedgeConfig{Max: 1, Percent: 0.1, MinPerSecond: 1}
}

// UnmarshalText parses the short form.
func (h *HedgeConfig) UnmarshalText(text []byte) error {
	h.Defaults()
	return h.After.UnmarshalText(text)
}

// Validate implements core.Validator.
func (h *HedgeConfig) Validate() error {
	if h.Max < 1 || h.Max > 5 {
		return fmt.Errorf("max: %d is not between 1 and 5", h.Max)
	}
	if h.MinPerSecond < 0 {
		return fmt.Errorf("min_per_second: %d is below zero", h.MinPerSecond)
	}
	return nil
}

// UnmarshalText parses a duration above zero or pN with N between 1 and 99.99.
func (a *HedgeAfter) UnmarshalText(text []byte) error {
	num, percentile := strings.CutPrefix(string(text), "p")
	if !percentile {
		var d core.Duration
		if err := d.UnmarshalText(text); err != nil {
			return fmt.Errorf("%w, or a percentile such as p95", err)
		}
		if d == 0 {
			return fmt.Errorf("%q hedges every request: write a time above zero, or a percentile such as p95", text)
		}
		*a = HedgeAfter{fixed: d.Std()}
		return nil
	}
	v, err := strconv.ParseFloat(num, 64)
	if err != nil || !(v >= 1 && v <= 99.99) {
		return fmt.Errorf("%q is not a percentile: write p1 to p99.99", text)
	}
	*a = HedgeAfter{quantile: v / 100}
	return nil
}

// String returns it as it is written.
func (a HedgeAfter) String() string {
	if a.quantile == 0 {
		return a.fixed.String()
	}
	return "p" + strconv.FormatFloat(a.quantile*100, 'g', 6, 64)
}
