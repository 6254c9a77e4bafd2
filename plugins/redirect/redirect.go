package redirect

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/http1"
)

func init() {
	core.Register("redirect", "Sends the client to another URL.", core.ScopeListener|core.ScopeRoute, New)
}

// Config is the YAML of the filter redirect. Short form: what To is.
//
// There are two kinds. To names the URL and redirects every request. HTTPS, Host and
// TrailingSlash each name a property that the URL should have: a request whose URL has all of
// them passes on, any other is redirected once to its own URL with all of them.
type Config struct {
	// To is the URL, a template: absolute, or a path that begins with '/'. What a URL may not hold
	// is escaped, so no variable can end the line.
	//
	// The host of the URL is not the client's to choose. In it only $host, $http_host, $scheme,
	// $server_port, $listener, $server_name and $hostname may stand, unless Allow lists the hosts;
	// and a path never begins with two slashes, which would be a host. Default: none.
	To *core.Template `yaml:"to"`

	// Allow lists hosts that To may lead to, beside the request's own, when other variables choose
	// its host: names such as example.com, or *.example.com for all below. Any other host gets
	// 400 bad_request. Default: none.
	Allow []string `yaml:"allow"`

	// HTTPS asks for https: a request that came by http is sent to the same URL there, on
	// port 443 unless Host names another. Default: false.
	HTTPS bool `yaml:"https"`

	// Host asks for this host, with a port where it is not the scheme's own, such as
	// www.example.com. Default: the request's.
	Host string `yaml:"host"`

	// TrailingSlash asks for a path that ends with a slash (add), or for one that does not
	// (remove); "/" stays. Default: either will do.
	TrailingSlash string `yaml:"trailing_slash" enum:"add,remove"`

	// Status is 301, 302, 303, 307 or 308. The first three let the client change the method to GET;
	// 301 and 308 may be cached for good. Default: 302.
	Status int `yaml:"status"`
}

// Defaults implements core.Defaulter.
func (c *Config) Defaults() { c.Status = 302 }

// UnmarshalText parses the short form.
func (c *Config) UnmarshalText(text []byte) error {
	c.To = new(core.Template)
	return c.To.UnmarshalText(text)
}

// Validate implements core.Validator.
func (c *Config) Validate() error {
	wants := c.HTTPS || c.Host != "" || c.TrailingSlash != ""
	switch {
	case !slices.Contains([]int{301, 302, 303, 307, 308}, c.Status):
		return fmt.Errorf("status %d is no redirect: write 301, 302, 303, 307 or 308", c.Status)
	case c.To == nil && !wants:
		return errors.New("no target is given: write to, https, host or trailing_slash")
	case c.To != nil && wants:
		return errors.New("to names the whole URL: write it, or https, host and trailing_slash")
	case c.To == nil && len(c.Allow) > 0:
		return errors.New("allow belongs to `to`, which is not given: remove it")
	case c.To != nil:
		return checkTarget(c.To.String(), c.Allow)
	case http1.CheckAuthority(c.Host) != nil:
		return fmt.Errorf("host %q is no host with an optional port", c.Host)
	}
	return nil
}

// New makes the filter.
func New(c *Config, _ *core.Env) (core.Filter, error) {
	if c.To != nil {
		return &Filter{to: c.To, allow: lowered(c.Allow), checked: len(c.Allow) > 0, status: c.Status}, nil
	}
	return &canonical{https: c.HTTPS, host: strings.ToLower(c.Host), slash: c.TrailingSlash, status: c.Status}, nil
}

// Filter redirects to a template's URL.
type Filter struct {
	to      *core.Template
	allow   []string
	checked bool // the host is compared with allow
	status  int
}

// Handle implements core.Filter. It does not call next.
func (f *Filter) Handle(x *core.Exchange, _ core.Handler) error {
	url, err := f.target(x)
	if err != nil {
		return err
	}
	respond(x, f.status, url)
	return nil
}

func respond(x *core.Exchange, status int, url string) {
	x.Respond(status, "", "")
	x.Response.Header.Add("Location", url)
}

// canonical redirects requests whose URL lacks a property.
type canonical struct {
	https  bool
	host   string // "": the request's
	slash  string
	status int
}

// Handle implements core.Filter.
func (c *canonical) Handle(x *core.Exchange, next core.Handler) error {
	req := &x.Request
	scheme, host, path := req.Scheme, req.Authority, req.RawPath()
	if c.https && scheme != "https" {
		scheme, host = "https", req.Host()
	}
	if c.host != "" && !sameHost(req, c.host, scheme) {
		host = c.host
	}
	path = c.settle(path)
	if scheme == req.Scheme && host == req.Authority && path == req.RawPath() {
		return next.Handle(x)
	}
	if host == "" || !strings.HasPrefix(path, "/") {
		return next.Handle(x) // HTTP/1.0 without Host, OPTIONS *: there is no URL to send to
	}
	url := append(make([]byte, 0, len(host)+len(path)+len(req.Query())+16), scheme...)
	url = append(append(append(url, "://"...), host...), path...)
	if req.HasQuery() {
		url = append(append(url, '?'), req.Query()...)
	}
	respond(x, c.status, escape(string(url)))
	return nil
}

// sameHost compares the request's host with host; the port that is the scheme's own may be left out.
func sameHost(req *core.Request, host, scheme string) bool {
	have := strings.ToLower(req.Authority)
	return trimPort(have, req.Scheme) == trimPort(host, scheme)
}

func trimPort(host, scheme string) string {
	if scheme == "https" {
		return strings.TrimSuffix(host, ":443")
	}
	return strings.TrimSuffix(host, ":80")
}

func (c *canonical) settle(path string) string {
	switch {
	case c.slash == "add" && !strings.HasSuffix(path, "/"):
		return path + "/"
	case c.slash == "remove" && len(path) > 1:
		if trimmed := strings.TrimRight(path, "/"); trimmed != "" {
			return trimmed
		}
		return "/"
	}
	return path
}
