package redirect

import (
	"fmt"
	"strings"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/http1"
)

// hostVars may stand in the host of a target: a link to us cannot choose them.
var hostVars = map[string]bool{
	"scheme": true, "host": true, "http_host": true, "server_port": true,
	"listener": true, "server_name": true, "hostname": true,
}

// pathVars always begin with '/', so they end the host of a target.
var pathVars = map[string]bool{"request_uri": true, "uri": true, "document_uri": true}

// checkTarget refuses a template that could lead to a host of the client's choice.
func checkTarget(source string, allow []string) error {
	for _, host := range allow {
		if name := strings.TrimPrefix(host, "*."); name == "" || strings.ContainsAny(name, "*:/@") ||
			http1.CheckAuthority(name) != nil {
			return fmt.Errorf("allow: %q is no host: write example.com or *.example.com", host)
		}
	}
	if strings.HasPrefix(source, "/") && !strings.HasPrefix(source, "//") {
		return nil
	}
	scheme, rest, absolute := strings.Cut(source, "://")
	if !absolute || strings.ContainsAny(scheme, "/?#") {
		return checkRelative(source, allow)
	}
	if scheme != "http" && scheme != "https" && scheme != "$scheme" && scheme != "${scheme}" {
		return fmt.Errorf("to: %q does not begin with http://, https:// or $scheme://", source)
	}
	if len(allow) > 0 {
		return nil
	}
	if name := chosenHost(rest); name != "" {
		return clientChooses(name)
	}
	return nil
}

// checkRelative checks a template in which no scheme is written: a variable has to bring the path,
// or a whole URL.
func checkRelative(source string, allow []string) error {
	if !strings.HasPrefix(source, "$") {
		return fmt.Errorf("to: %q is no URL: begin with https:// or, for a path, with one /", source)
	}
	name, _ := cutVar(source[1:])
	if pathVars[name] || len(allow) > 0 {
		return nil
	}
	return clientChooses(name)
}

func clientChooses(name string) error {
	return fmt.Errorf("to: $%s can name any host: write https:// or / before it, or list the hosts in allow", name)
}

// chosenHost returns the first variable in the host that source begins with whose value the client
// can choose by a link, "" when there is none.
func chosenHost(source string) string {
	for source != "" {
		i := strings.IndexAny(source, "$/?#\\")
		if i < 0 || source[i] != '$' {
			return ""
		}
		name, rest := cutVar(source[i+1:])
		if pathVars[name] {
			return ""
		}
		if !hostVars[name] {
			return name
		}
		source = rest
	}
	return ""
}

// cutVar cuts a variable's name from s, which follows a '$' in a template that has been parsed.
func cutVar(s string) (name, rest string) {
	if s, ok := strings.CutPrefix(s, "{"); ok {
		name, rest, _ = strings.Cut(s, "}")
		return name, rest
	}
	n := 0
	for n < len(s) && nameByte(s[n]) {
		n++
	}
	return s[:n], s[n:]
}

func nameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}

// target returns the URL for x, or bad_request when the request made no URL of it that is safe.
func (f *Filter) target(x *core.Exchange) (string, error) {
	url := escape(f.to.Eval(x))
	if strings.HasPrefix(url, "/") {
		return "/" + strings.TrimLeft(url, "/"), nil
	}
	scheme, rest, ok := strings.Cut(url, "://")
	host := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		host = rest[:i]
	}
	if !ok || !isHTTP(scheme) || host == "" || http1.CheckAuthority(host) != nil {
		return "", core.Errorf(core.CodeBadRequest, "redirect to %q, which is no http URL", url)
	}
	if f.checked && !f.allowed(&x.Request, host) {
		return "", core.Errorf(core.CodeBadRequest, "redirect to host %q, which allow does not list", host)
	}
	return url, nil
}

func isHTTP(scheme string) bool {
	return core.EqualFold(scheme, "http") || core.EqualFold(scheme, "https")
}

func (f *Filter) allowed(req *core.Request, authority string) bool {
	host := strings.ToLower(authority)
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	host = strings.TrimSuffix(host, ".")
	if host == req.Host() {
		return true
	}
	for _, name := range f.allow {
		if suffix, ok := strings.CutPrefix(name, "*"); ok && strings.HasSuffix(host, suffix) || host == name {
			return true
		}
	}
	return false
}

func lowered(hosts []string) []string {
	out := make([]string, len(hosts))
	for i, host := range hosts {
		out[i] = strings.ToLower(host)
	}
	return out
}

// escape escapes what RFC 3986 lets no URL hold, backslashes among it, which browsers take for
// slashes. Escapes that are there stay.
func escape(url string) string {
	plain := true
	for i := 0; i < len(url) && plain; i++ {
		plain = urlByte(url[i])
	}
	if plain {
		return url
	}
	const hex = "0123456789ABCDEF"
	out := make([]byte, 0, len(url)+16)
	for i := range len(url) {
		if c := url[i]; !urlByte(c) {
			out = append(out, '%', hex[c>>4], hex[c&15])
			continue
		}
		out = append(out, url[i])
	}
	return string(out)
}

func urlByte(c byte) bool {
	return c > ' ' && c < 0x7f && strings.IndexByte("\"<>\\^`{|}", c) < 0
}
