package route

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/sluiceproxy/sluice/core"
)

// Rewrite changes a request's path. The query stays. It works on the escaped path, and what it
// makes always begins with '/'. Strip comes first, then prefix; or regex with to.
type Rewrite struct {
	// Strip is taken off the beginning where it stands there as whole segments: /a takes /a/b to
	// /b and /a to /, and leaves /ab. It looks at the path as it was sent: an escape must be written
	// as one.
	Strip string `yaml:"strip"`
	// Prefix is put before the path: /v2 takes /a to /v2/a.
	Prefix string `yaml:"prefix"`
	// Regex is searched in the path (RE2 syntax); every match is replaced by to.
	Regex string `yaml:"regex"`
	// To replaces what regex matched; $1 or ${name} stand for its groups, ${1} where letters follow.
	To string `yaml:"to"`

	re *regexp.Regexp
}

// Validate implements core.Validator, and makes the rewrite ready for Apply.
func (r *Rewrite) Validate() error {
	for key, v := range map[string]string{"strip": r.Strip, "prefix": r.Prefix} {
		if v != "" && !strings.HasPrefix(v, "/") {
			return fmt.Errorf("%s %q must begin with /", key, v)
		}
	}
	if r.Regex == "" {
		if r.Strip == "" && r.Prefix == "" {
			return errors.New("nothing to rewrite: write strip, prefix, or regex with to")
		}
		if r.To != "" {
			return errors.New("to needs regex")
		}
		return nil
	}
	if r.Strip != "" || r.Prefix != "" {
		return errors.New("regex cannot stand beside strip and prefix")
	}
	re, err := regexp.Compile(r.Regex)
	if err != nil {
		return fmt.Errorf("regex: %w", err)
	}
	r.re = re
	return nil
}

// Apply rewrites the exchange's path. The paths of CONNECT and OPTIONS * are left alone.
func (r *Rewrite) Apply(x *core.Exchange) {
	path := x.Request.RawPath()
	if !strings.HasPrefix(path, "/") || x.Request.Method == "CONNECT" {
		return
	}
	out := r.rewrite(path)
	if out == path {
		return
	}
	if !strings.HasPrefix(out, "/") {
		out = "/" + out
	}
	x.Request.SetPath(core.EscapePath(out))
}

func (r *Rewrite) rewrite(path string) string {
	if r.re != nil {
		return r.re.ReplaceAllString(path, r.To)
	}
	if strip := strings.TrimSuffix(r.Strip, "/"); strip != "" {
		if rest, ok := strings.CutPrefix(path, strip); ok && (rest == "" || rest[0] == '/') {
			path = rest
		}
	}
	if r.Prefix == "" || path == "" {
		return r.Prefix + path
	}
	return strings.TrimSuffix(r.Prefix, "/") + path
}
