package headers

import (
	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/http1"
)

func init() {
	core.Register("headers", "Sets, adds and removes fields of the request and of the response.", core.ScopeAny, New)
}

// Config is the YAML of the filter headers.
type Config struct {
	// Request is done to the request's fields before it goes on. set: {Host: ...} changes the
	// host that the endpoint sees, and, in a listener's filters, what routes match.
	// Default: nothing.
	Request Edits `yaml:"request"`

	// Response is done to the fields of the response, also of the proxy's own error responses.
	// Default: nothing.
	Response Edits `yaml:"response"`
}

// Edits is what is done to one message's fields: remove, then set, default and add, each by name in
// alphabetical order. Values are templates. A value that is empty is no field: set then removes,
// add and default do nothing, so that {set: {X-User: $var_user}} never lets the client's own
// X-User pass. A control character in a value becomes a space.
//
// Fields of the connection and of framing (Connection, Keep-Alive, Proxy-Connection, TE, Trailer,
// Transfer-Encoding, Upgrade, Content-Length) are refused when the configuration loads.
type Edits struct {
	// If limits the edits to exchanges that meet the condition at that moment: for the response,
	// unlike when, it sees status and sent_http_NAME. Default: always.
	If *core.Condition `yaml:"if"`

	// Remove takes away every field of these names; a name that ends in '*' stands for all that
	// begin so, such as X-Internal-*. Default: none.
	Remove []string `yaml:"remove"`

	// Set makes the value the only one of its field. Default: none.
	Set map[string]*core.Template `yaml:"set"`

	// Default is set where the message has no such field. Default: none.
	Default map[string]*core.Template `yaml:"default"`

	// Add appends a field, or one for each value of a list, beside those of the same name.
	// Default: none.
	Add map[string][]*core.Template `yaml:"add"`
}

// Validate implements core.Validator.
func (c *Config) Validate() error {
	if err := c.Request.check("request", true); err != nil {
		return err
	}
	return c.Response.check("response", false)
}

// Filter changes fields.
type Filter struct{ request, response plan }

// New makes the filter.
func New(c *Config, _ *core.Env) (core.Filter, error) {
	return &Filter{request: c.Request.compile(), response: c.Response.compile()}, nil
}

// Handle implements core.Filter.
func (f *Filter) Handle(x *core.Exchange, next core.Handler) error {
	if err := f.request.apply(x, &x.Request.Header); err != nil {
		return err
	}
	if err := next.Handle(x); err != nil {
		return err
	}
	return f.response.apply(x, &x.Response.Header)
}

// plan is Edits, compiled.
type plan struct {
	cond  *core.Condition
	host  *core.Template // nil: Host stays
	edits []edit
}

type edit struct {
	op    op
	name  string
	value *core.Template
}

type op uint8

const (
	opRemove op = iota
	opRemovePrefix
	opSet
	opDefault
	opAdd
)

func (p *plan) apply(x *core.Exchange, h *core.Header) error {
	if len(p.edits) == 0 && p.host == nil || !p.cond.Match(x) {
		return nil
	}
	if err := p.setHost(x); err != nil {
		return err
	}
	for i := range p.edits {
		p.edits[i].apply(x, h)
	}
	return nil
}

func (p *plan) setHost(x *core.Exchange) error {
	host := p.host.Eval(x)
	if host == "" {
		return nil
	}
	if err := http1.CheckAuthority(host); err != nil {
		return err
	}
	x.Request.Authority = host
	return nil
}

func (e *edit) apply(x *core.Exchange, h *core.Header) {
	switch e.op {
	case opRemove:
		h.Del(e.name)
		return
	case opRemovePrefix:
		h.DelFunc(func(f core.Field) bool { return hasPrefixFold(f.Name, e.name) && !framing(f.Name) })
		return
	case opDefault:
		if h.Has(e.name) {
			return
		}
	}
	value := printable(e.value.Eval(x))
	switch {
	case value == "" && e.op == opSet:
		h.Del(e.name)
	case value == "":
	case e.op == opAdd:
		h.Add(e.name, value)
	default:
		h.Set(e.name, value)
	}
}
