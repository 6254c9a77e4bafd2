package timeout

import (
	"errors"
	"time"

	"github.com/sluiceproxy/sluice/core"
)

func init() {
	core.Register("timeout", "Limits how long an exchange and each of its tries may take.",
		core.ScopeListener|core.ScopeRoute, New)
}

// Config is the YAML of the filter timeout. Short form: what Total is.
type Config struct {
	// Total is how long all tries together may take until the last one has ended, from this filter
	// on; then the client gets 504 total_timeout. It only ever shortens what another timeout filter
	// or the upstream's timeout.total allows. Default: no limit of its own.
	Total core.Duration `yaml:"total"`

	// Try is the time each try has until its response head, in place of the upstream's
	// timeout.try; then the client gets 504 try_timeout, unless retry tries again. Default: the
	// upstream's.
	Try core.Duration `yaml:"try"`
}

// UnmarshalText parses the short form.
func (c *Config) UnmarshalText(text []byte) error { return c.Total.UnmarshalText(text) }

// Validate implements core.Validator.
func (c *Config) Validate() error {
	if c.Total == 0 && c.Try == 0 {
		return errors.New("neither total nor try is given: write one, such as total: 3s")
	}
	return nil
}

// Filter sets the time limits of an exchange.
type Filter struct{ total, try time.Duration }

// New makes the filter.
func New(c *Config, _ *core.Env) (core.Filter, error) {
	return &Filter{total: c.Total.Std(), try: c.Try.Std()}, nil
}

// Handle implements core.Filter.
func (f *Filter) Handle(x *core.Exchange, next core.Handler) error {
	if f.total > 0 {
		if d := core.Now().Add(f.total); x.Deadline == 0 || d < x.Deadline {
			x.Deadline = d
		}
	}
	if f.try > 0 {
		x.TryTimeout = f.try
	}
	return next.Handle(x)
}
