package requestid

import (
	"errors"
	"fmt"

	"golang.org/x/net/http/httpguts"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/http1"
)

func init() {
	core.Register("request_id", "Gives every request an id, which goes upstream and back to the client.",
		core.ScopeListener|core.ScopeRoute, New)
}

// Config is the YAML of the filter request_id.
type Config struct {
	// Header is the field that carries the id, upstream and in the response.
	// Default: X-Request-ID.
	Header string `yaml:"header"`

	// Trust takes the id that the client sends in Header, when it is valid: one field of 1 to
	// MaxLength letters, digits and -._~:/+=@. Without it, and for any other value, a new id of 32
	// hexadecimal digits replaces what the client sent. Turn it on behind a proxy that sets the
	// id, not towards the internet. Default: false.
	Trust bool `yaml:"trust"`

	// MaxLength is how many bytes a trusted id may have. Default: 128; range: 1 to 1024.
	MaxLength int `yaml:"max_length"`

	// Response sends the id back to the client in Header, in the place of one from the endpoint.
	// Default: true.
	Response bool `yaml:"response"`
}

// Defaults implements core.Defaulter.
func (c *Config) Defaults() { *c = Config{Header: "X-Request-ID", MaxLength: 128, Response: true} }

// Validate implements core.Validator.
func (c *Config) Validate() error {
	if !httpguts.ValidHeaderFieldName(c.Header) {
		return fmt.Errorf("header %q is no field name: write one such as X-Request-ID", c.Header)
	}
	if http1.HopByHop(c.Header) || core.EqualFold(c.Header, "Host") {
		return fmt.Errorf("header %s belongs to the connection: write one such as X-Request-ID", c.Header)
	}
	if c.MaxLength < 1 || c.MaxLength > 1024 {
		return errors.New("max_length is out of range: write 1 to 1024")
	}
	return nil
}

// Filter sets the id of an exchange.
type Filter struct{ cfg Config }

// New makes the filter.
func New(c *Config, _ *core.Env) (core.Filter, error) { return &Filter{cfg: *c}, nil }

// Handle implements core.Filter.
func (f *Filter) Handle(x *core.Exchange, next core.Handler) error {
	if id, ok := f.trusted(&x.Request.Header); ok {
		x.SetID(id)
	} else {
		x.Request.Header.Set(f.cfg.Header, x.ID())
	}
	err := next.Handle(x)
	if err == nil && f.cfg.Response {
		x.Response.Header.Set(f.cfg.Header, x.ID())
	}
	return err
}

// trusted returns the client's id. Two fields are none: the endpoint may read the other one.
func (f *Filter) trusted(h *core.Header) (id string, ok bool) {
	if !f.cfg.Trust {
		return "", false
	}
	for value := range h.Values(f.cfg.Header) {
		if ok || !f.valid(value) {
			return "", false
		}
		id, ok = value, true
	}
	return id, ok
}

func (f *Filter) valid(id string) bool {
	if id == "" || len(id) > f.cfg.MaxLength {
		return false
	}
	for i := range len(id) {
		if !idByte(id[i]) {
			return false
		}
	}
	return true
}

// idByte is what ids, base64 and ARNs are made of, and what needs no escaping in any log.
func idByte(c byte) bool {
	switch c {
	case '-', '.', '_', '~', ':', '/', '+', '=', '@':
		return true
	}
	return alnum(c)
}

func alnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
