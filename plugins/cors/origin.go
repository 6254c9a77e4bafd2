package cors

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// Origin is one entry of Config.Origins.
type Origin struct {
	text           string // exact, or "*"
	prefix, suffix string // around a '*'
	wild           bool
	re             *regexp.Regexp
}

// UnmarshalText parses an exact origin, one with a '*', '~' and a regular expression, null or *.
func (o *Origin) UnmarshalText(text []byte) error {
	s := string(text)
	if s == "*" || s == "null" {
		*o = Origin{text: s}
		return nil
	}
	if expr, ok := strings.CutPrefix(s, "~"); ok {
		re, err := regexp.Compile("^(?:" + expr + ")$")
		if err != nil {
			return fmt.Errorf("%q is no regular expression: %w", expr, err)
		}
		*o = Origin{re: re}
		return nil
	}
	s = strings.ToLower(s)
	if err := checkOrigin(s); err != nil {
		return err
	}
	prefix, suffix, wild := strings.Cut(s, "*")
	*o = Origin{text: s, prefix: prefix, suffix: suffix, wild: wild}
	return nil
}

// checkOrigin wants scheme://host[:port], as browsers send it.
func checkOrigin(s string) error {
	if strings.Count(s, "*") > 1 {
		return fmt.Errorf("origin %q has more than one '*': write ~ and a regular expression", s)
	}
	// A digit is valid wherever the '*' may stand, in a port too.
	u, err := url.Parse(strings.Replace(s, "*", "1", 1))
	if err != nil || u.Scheme == "" || u.Host == "" {
		return fmt.Errorf("origin %q is none: write scheme and host, such as https://app.example.com", s)
	}
	if u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("origin %q has more than scheme, host and port: write %s://%s", s, u.Scheme,
			strings.TrimPrefix(s, u.Scheme+"://")[:len(u.Host)])
	}
	if u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80" {
		return fmt.Errorf("origin %q has its scheme's own port, which browsers leave out: remove it", s)
	}
	return nil
}

// match reports whether a browser's origin is o. Browsers send scheme and host in lower case.
func (o *Origin) match(origin string) bool {
	switch {
	case o.re != nil:
		return o.re.MatchString(origin)
	case !o.wild:
		return origin == o.text
	case len(origin) <= len(o.prefix)+len(o.suffix),
		!strings.HasPrefix(origin, o.prefix), !strings.HasSuffix(origin, o.suffix):
		return false
	}
	for _, c := range origin[len(o.prefix) : len(origin)-len(o.suffix)] {
		if c != '-' && c != '.' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}
