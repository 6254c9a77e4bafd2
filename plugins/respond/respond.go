package respond

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"golang.org/x/net/http/httpguts"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/http1"
)

func init() {
	core.Register("respond", "Answers with a fixed status, fields and body.", core.ScopeAny, New)
}

// Config is the YAML of the filter respond. Short form: the status, such as respond: 204.
type Config struct {
	// Status of the response. Default: 200; range: 200 to 599.
	Status int `yaml:"status"`

	// Body is a template. Its variables are put in as they are: where ContentType is text/html or
	// JSON, use none that the client writes, such as $arg_NAME. A body goes with any status but
	// 204, 205 and 304. Default: empty.
	Body *core.Template `yaml:"body"`

	// ContentType of the body; not sent without one.
	// Default: text/plain; charset=utf-8.
	ContentType string `yaml:"content_type"`

	// Headers are further fields of the response; values are templates, and an empty one is no
	// field. Default: none.
	Headers map[string]*core.Template `yaml:"headers"`
}

// Defaults implements core.Defaulter.
func (c *Config) Defaults() { *c = Config{Status: 200, ContentType: "text/plain; charset=utf-8"} }

// UnmarshalText parses the short form.
func (c *Config) UnmarshalText(text []byte) error {
	status, err := strconv.Atoi(string(text))
	if err != nil {
		return fmt.Errorf("%q is no status: write a number such as 204, or {body: ...}", text)
	}
	c.Status = status
	return nil
}

// Validate implements core.Validator.
func (c *Config) Validate() error {
	if c.Status < 200 || c.Status > 599 {
		return fmt.Errorf("status %d is out of range: write 200 to 599", c.Status)
	}
	if c.Body.String() != "" && bodiless(c.Status) {
		return fmt.Errorf("status %d has no body: remove body, or write another status", c.Status)
	}
	if !httpguts.ValidHeaderFieldValue(c.ContentType) {
		return errors.New("content_type holds a control character")
	}
	for name := range c.Headers {
		if !httpguts.ValidHeaderFieldName(name) {
			return fmt.Errorf("headers: %q is no field name: write letters, digits and '-'", name)
		}
		if http1.HopByHop(name) || core.EqualFold(name, "Trailer") {
			return fmt.Errorf("headers: %s belongs to the connection, which the proxy writes itself: leave it out", name)
		}
	}
	return nil
}

// bodiless: RFC 9110 15.3.5, 15.3.6 and 15.4.5.
func bodiless(status int) bool { return status == 204 || status == 205 || status == 304 }

// Filter answers.
type Filter struct {
	status      int
	body        *core.Template
	contentType string
	fields      []field
}

type field struct {
	name  string
	value *core.Template
}

// New makes the filter.
func New(c *Config, _ *core.Env) (core.Filter, error) {
	f := &Filter{status: c.Status, body: c.Body}
	if c.Body.String() != "" {
		f.contentType = c.ContentType
	}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		if core.EqualFold(name, "Content-Type") {
			f.contentType = ""
		}
		f.fields = append(f.fields, field{name, c.Headers[name]})
	}
	return f, nil
}

// Handle implements core.Filter. It does not call next.
func (f *Filter) Handle(x *core.Exchange, _ core.Handler) error {
	x.Respond(f.status, f.contentType, f.body.Eval(x))
	for i := range f.fields {
		if value := f.fields[i].value.Eval(x); value != "" {
			x.Response.Header.Add(f.fields[i].name, value)
		}
	}
	if f.status == 204 || f.status == 304 {
		x.Response.Body.Clear()
	}
	return nil
}
