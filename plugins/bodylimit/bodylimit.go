package bodylimit

import (
	"errors"
	"io"

	"github.com/sluiceproxy/sluice/core"
)

func init() {
	core.Register("body_limit", "Refuses bodies above a size.", core.ScopeAny, New)
}

// Config is the YAML of the filter body_limit. Short form: what Request is.
type Config struct {
	// Request is how long a request body may be. A longer one gets 413 body_too_large: at once when
	// its Content-Length tells, else as soon as it is read beyond the limit, unless the response
	// has begun by then; then the response ends abnormally. 0B allows no body at all.
	// Default: no limit beside the listener's own.
	Request *core.Size `yaml:"request"`

	// Response is how long a response body may be. A longer one becomes 502 body_too_large when
	// its Content-Length tells, else the response ends abnormally when it gets there.
	// Default: no limit.
	Response *core.Size `yaml:"response"`
}

// UnmarshalText parses the short form.
func (c *Config) UnmarshalText(text []byte) error {
	c.Request = new(core.Size)
	return c.Request.UnmarshalText(text)
}

// Validate implements core.Validator.
func (c *Config) Validate() error {
	if c.Request == nil && c.Response == nil {
		return errors.New("neither request nor response is given: write one, such as request: 1MiB")
	}
	return nil
}

// Filter limits bodies.
type Filter struct{ request, response limit }

// New makes the filter.
func New(c *Config, _ *core.Env) (core.Filter, error) {
	return &Filter{
		request:  limit{size: sizeOf(c.Request), what: "request", side: core.SideClient},
		response: limit{size: sizeOf(c.Response), what: "response", side: core.SideUpstream, status: 502},
	}, nil
}

func sizeOf(s *core.Size) int64 {
	if s == nil {
		return unlimited
	}
	return int64(*s)
}

// Handle implements core.Filter.
func (f *Filter) Handle(x *core.Exchange, next core.Handler) error {
	if err := f.request.apply(&x.Request.Body); err != nil {
		return err
	}
	if err := next.Handle(x); err != nil {
		return err
	}
	return f.response.apply(&x.Response.Body)
}

// unlimited as a limit's size is none.
const unlimited = -1

// limit is the bound of one message's body and what it costs to pass it.
type limit struct {
	size   int64
	what   string
	side   core.Side
	status int // 0: that of body_too_large
}

func (l *limit) apply(b *core.Body) error {
	switch {
	case l.size == unlimited || b.None():
		return nil
	case b.Length() > l.size:
		return l.err()
	case b.Length() >= 0:
		return nil // the codec holds a body to its length
	}
	b.Wrap(-1, func(r io.ReadCloser) io.ReadCloser {
		return &limited{ReadCloser: r, limit: l, left: l.size}
	})
	return nil
}

func (l *limit) err() error {
	err := core.Errorf(core.CodeBodyTooLarge, "%s body is above the limit of %s", l.what, core.Size(l.size))
	err.Side, err.Status = l.side, l.status
	return err
}

// limited fails the read that passes the limit. What came before it has been handed on.
type limited struct {
	io.ReadCloser
	limit *limit
	left  int64
	err   error
}

func (l *limited) Read(p []byte) (int, error) {
	if l.err != nil {
		return 0, l.err
	}
	n, err := l.ReadCloser.Read(p)
	if int64(n) > l.left {
		l.err = l.limit.err()
		return 0, l.err
	}
	l.left -= int64(n)
	return n, err
}
