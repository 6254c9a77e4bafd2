package cors

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/sluiceproxy/sluice/core"
)

func init() {
	core.Register("cors", "Lets pages of other origins read the responses.", core.ScopeListener|core.ScopeRoute, New)
}

// Config is the YAML of the filter cors. Short form: one origin.
//
// The filter stands for the whole policy: Access-Control fields of the endpoint's are removed.
// It goes before filters that refuse requests, such as those that authenticate: a preflight carries
// no credentials, and a page can read an error only when the error's response has the fields.
type Config struct {
	// Origins may read the responses. Each is an origin as browsers send it, such as
	// https://app.example.com or http://localhost:3000; one with a '*', which stands for letters,
	// digits, '.' and '-', such as https://*.example.com; a regular expression for the whole
	// origin behind '~'; null, for pages of no origin; or * for all. Required.
	Origins []Origin `yaml:"origins,required"`

	// Methods are allowed beside GET, HEAD and POST, which need no leave; * for all.
	// Default: PUT, PATCH and DELETE.
	Methods []string `yaml:"methods"`

	// Headers of the request are allowed beside the safelisted ones (Accept, Accept-Language,
	// Content-Language, Content-Type of a form); * for all. Default: Content-Type.
	Headers []string `yaml:"headers"`

	// Expose lists fields of the response that pages may read beside the safelisted ones; * for all.
	// Default: none.
	Expose []string `yaml:"expose"`

	// Credentials lets requests carry cookies, client certificates and Authorization. Origins may
	// not be * then. Default: false.
	Credentials bool `yaml:"credentials"`

	// MaxAge is how long a browser may keep the answer to a preflight; browsers cap it at 2h or
	// less. 0s: do not keep it. Default: 5m; in whole seconds.
	MaxAge core.Duration `yaml:"max_age"`

	// PrivateNetwork lets pages of a public network reach this proxy in a private one (the draft
	// Private Network Access). Default: false.
	PrivateNetwork bool `yaml:"private_network"`
}

// Defaults implements core.Defaulter.
func (c *Config) Defaults() {
	c.Methods = []string{"PUT", "PATCH", "DELETE"}
	c.Headers = []string{"Content-Type"}
	c.MaxAge = core.Duration(5 * time.Minute)
}

// UnmarshalText parses the short form.
func (c *Config) UnmarshalText(text []byte) error {
	c.Origins = make([]Origin, 1)
	return c.Origins[0].UnmarshalText(text)
}

// Validate implements core.Validator.
func (c *Config) Validate() error {
	if len(c.Origins) == 0 {
		return errors.New("origins is empty: list those that may read the responses, or *")
	}
	if c.Credentials && c.any() {
		return errors.New("credentials with origins: * would let every page act for its visitor: list the origins")
	}
	for key, names := range map[string][]string{"methods": c.Methods, "headers": c.Headers, "expose": c.Expose} {
		for _, name := range names {
			if !httpguts.ValidHeaderFieldName(name) {
				return fmt.Errorf("%s: %q is no name: write one an entry, or *", key, name)
			}
		}
	}
	return nil
}

func (c *Config) any() bool {
	for _, o := range c.Origins {
		if o.text == "*" {
			return true
		}
	}
	return false
}

// Filter applies the policy.
type Filter struct {
	origins     []Origin
	any         bool   // every origin, and the response says so: it depends on none
	methods     string // "*": whatever was asked for
	headers     string // "*": whatever was asked for
	expose      string
	maxAge      string
	credentials bool
	private     bool
	vary        string // of a preflight's answer
}

// New makes the filter.
func New(c *Config, _ *core.Env) (core.Filter, error) {
	f := &Filter{
		origins: c.Origins, any: c.any(), credentials: c.Credentials, private: c.PrivateNetwork,
		methods: list(append([]string{"GET", "HEAD", "POST"}, c.Methods...)),
		headers: list(c.Headers),
		expose:  list(c.Expose),
		maxAge:  strconv.FormatInt(int64(c.MaxAge.Std()/time.Second), 10),
		vary:    "Access-Control-Request-Method, Access-Control-Request-Headers",
	}
	if !f.any {
		f.vary = "Origin, " + f.vary
	}
	if f.private {
		f.vary += ", Access-Control-Request-Private-Network"
	}
	return f, nil
}

func list(names []string) string {
	for _, name := range names {
		if name == "*" {
			return "*"
		}
	}
	return strings.Join(names, ", ")
}

// Handle implements core.Filter.
func (f *Filter) Handle(x *core.Exchange, next core.Handler) error {
	origin, cross := f.origin(&x.Request.Header)
	if cross && x.Request.Method == "OPTIONS" && x.Request.Header.Has("Access-Control-Request-Method") {
		f.preflight(x, origin)
		return nil
	}
	if err := next.Handle(x); err != nil {
		return err
	}
	h := &x.Response.Header
	h.DelFunc(policy)
	exposed := f.exposed(h)
	if !f.any {
		addVary(h, "Origin")
	}
	if origin != "" || f.any { // a cache may give the response to other origins
		f.allow(h, origin)
		if exposed != "" {
			h.Add("Access-Control-Expose-Headers", exposed)
		}
	}
	return nil
}

// origin returns the request's origin, "" when it may not read the response, and whether there is
// one at all.
func (f *Filter) origin(h *core.Header) (origin string, cross bool) {
	for value := range h.Values("Origin") {
		if cross {
			return "", true // two origins are none
		}
		origin, cross = value, true
	}
	if !cross || f.any {
		return origin, cross
	}
	for i := range f.origins {
		if f.origins[i].match(origin) {
			return origin, true
		}
	}
	return "", true
}

// preflight answers a CORS preflight. What is not allowed is left out: the browser concludes.
func (f *Filter) preflight(x *core.Exchange, origin string) {
	req := &x.Request.Header
	x.Response.Reset()
	x.Response.Status = 204
	h := &x.Response.Header
	h.Add("Vary", f.vary)
	if origin == "" {
		return
	}
	f.allow(h, origin)
	addList(h, "Access-Control-Allow-Methods", f.methods, req.Get("Access-Control-Request-Method"))
	addList(h, "Access-Control-Allow-Headers", f.headers, req.Joined("Access-Control-Request-Headers"))
	h.Add("Access-Control-Max-Age", f.maxAge)
	if f.private && req.Get("Access-Control-Request-Private-Network") == "true" {
		h.Add("Access-Control-Allow-Private-Network", "true")
	}
}

func (f *Filter) allow(h *core.Header, origin string) {
	if f.any {
		h.Add("Access-Control-Allow-Origin", "*")
		return
	}
	h.Add("Access-Control-Allow-Origin", origin)
	if f.credentials {
		h.Add("Access-Control-Allow-Credentials", "true")
	}
}

// addList sends what was asked for in the place of "*", which would not cover Authorization, nor
// anything with credentials (Fetch 3.3.3).
func addList(h *core.Header, name, allowed, asked string) {
	if allowed == "*" {
		allowed = asked
	}
	if allowed != "" {
		h.Add(name, allowed)
	}
}

// exposed spells "*" out with credentials, where it would be the name of a field (Fetch 3.3.3).
func (f *Filter) exposed(h *core.Header) string {
	if f.expose != "*" || !f.credentials {
		return f.expose
	}
	var names []string
	for _, field := range h.Fields() {
		names = append(names, field.Name)
	}
	return strings.Join(names, ", ")
}

// policy reports whether a response's field is the filter's to write.
func policy(field core.Field) bool {
	const prefix = "Access-Control-"
	return len(field.Name) > len(prefix) && core.EqualFold(field.Name[:len(prefix)], prefix)
}

func addVary(h *core.Header, name string) {
	for value := range h.Values("Vary") {
		if value == "*" || core.HasToken(value, name) {
			return
		}
	}
	h.Add("Vary", name)
}
