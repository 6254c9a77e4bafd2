package rewrite

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/route"
)

func init() {
	core.Register("rewrite", "Changes path and query of the request.", core.ScopeAny, New)
}

// Config is the YAML of the filter rewrite: what a route's rewrite has, and more.
type Config struct {
	// Rewrite changes the path, as it does in a route.
	Rewrite route.Rewrite `yaml:",inline"`

	// Path is the new path, a template such as /users/$path_id, in the place of strip, prefix and
	// regex. It begins with '/' or $uri. What a path may not hold is escaped, a '?' too. Dot
	// segments are resolved; a request whose values lead out of the folder that stands before the
	// first variable, here /users/, gets 400 bad_request. Default: the path stays.
	Path *core.Template `yaml:"path"`

	// Query changes the query. Default: it stays.
	Query Query `yaml:"query"`

	// Reroute has a request that was changed routed anew, by its new path and query. More than ten
	// times for one request is 508 redirect_loop. Only for a route's filters: a listener's come
	// before routing. Default: false.
	Reroute bool `yaml:"reroute"`
}

// Query is what is done to the query: remove, then set. Names and values are written unescaped.
type Query struct {
	// Remove takes away every argument of these names; a name that ends in '*' stands for all that
	// begin so, such as utm_*. Default: none.
	Remove []string `yaml:"remove"`

	// Set makes the value, a template, the only one of its argument, at the query's end, by name
	// in alphabetical order. An empty value removes the argument. Default: none.
	Set map[string]*core.Template `yaml:"set"`
}

// Validate implements core.Validator.
func (c *Config) Validate() error {
	r := &c.Rewrite
	switch path := r.Strip + r.Prefix + r.Regex + r.To; {
	case c.Path != nil && path != "":
		return errors.New("path names the whole path: remove it, or strip, prefix, regex and to")
	case c.Path != nil:
		if source := c.Path.String(); !strings.HasPrefix(source, "/") && !strings.HasPrefix(source, "$uri") {
			return fmt.Errorf("path %q must begin with / or $uri: else it is no path", source)
		}
		for _, segment := range []string{"//", "/./", "/../"} {
			if strings.Contains(folder(c.Path), segment) {
				return fmt.Errorf("path %q holds %s: write the path that it stands for", c.Path, segment)
			}
		}
	case path != "" || len(c.Query.Remove) == 0 && len(c.Query.Set) == 0:
		if err := r.Validate(); err != nil {
			return err
		}
	}
	return c.Query.check()
}

// Filter rewrites requests.
type Filter struct {
	rewrite *route.Rewrite // nil: none
	path    *core.Template // nil: none
	folder  string         // that path stays in, escaped
	query   *query         // nil: it stays
	reroute bool
}

// New makes the filter.
func New(c *Config, env *core.Env) (core.Filter, error) {
	if c.Reroute && env.Scope != core.ScopeRoute {
		return nil, fmt.Errorf("reroute is for a route's filters, not for those of a %v: leave it out", env.Scope)
	}
	f := &Filter{path: c.Path, folder: core.EscapePath(folder(c.Path)), query: c.Query.compile(), reroute: c.Reroute}
	if c.Rewrite.Strip+c.Rewrite.Prefix+c.Rewrite.Regex != "" {
		f.rewrite = &c.Rewrite
	}
	return f, nil
}

// Handle implements core.Filter.
func (f *Filter) Handle(x *core.Exchange, next core.Handler) error {
	path, args := x.Request.RawPath(), x.Request.Query()
	if f.rewrite != nil {
		f.rewrite.Apply(x)
	}
	if err := f.setPath(x); err != nil {
		return err
	}
	if f.query != nil {
		f.query.apply(x)
	}
	if f.reroute && (path != x.Request.RawPath() || args != x.Request.Query()) {
		return x.Reroute()
	}
	return next.Handle(x)
}

func (f *Filter) setPath(x *core.Exchange) error {
	if f.path == nil || x.Request.Method == "CONNECT" || !strings.HasPrefix(x.Request.RawPath(), "/") {
		return nil
	}
	path := f.path.Eval(x)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	if err := x.SetVariable("uri", path); err != nil {
		return err
	}
	if !strings.HasPrefix(x.Request.RawPath(), f.folder) {
		return core.Errorf(core.CodeBadRequest, "rewritten path %q is not below %s", x.Request.RawPath(), f.folder)
	}
	return nil
}

// folder returns what stands before the first variable, up to its last slash.
func folder(t *core.Template) string {
	fixed, _, _ := strings.Cut(t.String(), "$")
	return fixed[:strings.LastIndexByte(fixed, '/')+1]
}
