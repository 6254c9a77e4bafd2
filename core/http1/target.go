package http1

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/sluiceproxy/sluice/core"
)

// parseTarget takes the four forms of RFC 9112 3.2. Absolute-form sets the authority, which then
// wins over Host (3.2.2); Host must still be there and valid.
func parseTarget(target string, req *core.Request) error {
	if target == "" {
		return bad("no target")
	}
	loose, err := checkTargetBytes(target)
	if err != nil {
		return err
	}
	switch {
	case req.Method == "CONNECT":
		if err := checkConnect(target); err != nil {
			return err
		}
		req.Authority = target
		req.SetReceived(target, "/")
		return nil
	case target[0] == '/':
		return setOrigin(req, target, target, loose)
	case target == "*":
		if req.Method != "OPTIONS" {
			return bad("target * with a method other than OPTIONS")
		}
		req.SetReceived(target, target)
		return nil
	}
	return absoluteForm(target, req, loose)
}

func checkTargetBytes(target string) (loose bool, err error) {
	for i := 0; i < len(target); i++ {
		k := class[target[i]]
		if k&isTarget != 0 {
			continue
		}
		if k&isLoose == 0 {
			return false, bad("target holds the byte %#02x, which must be escaped", target[i])
		}
		loose = true
	}
	return loose, nil
}

// setOrigin sets path and query. Bytes that RFC 3986 leaves out are forwarded escaped.
func setOrigin(req *core.Request, target, origin string, loose bool) error {
	path := origin
	if i := strings.IndexByte(origin, '?'); i >= 0 {
		path = origin[:i]
	}
	if err := checkEscapes(path); err != nil {
		return err
	}
	if loose {
		origin = escapeLoose(origin)
	}
	req.SetReceived(target, origin)
	return nil
}

func checkEscapes(path string) error {
	for {
		i := strings.IndexByte(path, '%')
		if i < 0 {
			return nil
		}
		if i+2 >= len(path) || class[path[i+1]]&isHex == 0 || class[path[i+2]]&isHex == 0 {
			return bad("path holds a %% that begins no escape")
		}
		if path[i+1] == '0' && path[i+2] == '0' {
			return bad("path holds an escaped NUL")
		}
		path = path[i+3:]
	}
}

func escapeLoose(s string) string {
	const hex = "0123456789ABCDEF"
	out := make([]byte, 0, len(s)+16)
	for i := 0; i < len(s); i++ {
		if class[s[i]]&isLoose != 0 {
			out = append(out, '%', hex[s[i]>>4], hex[s[i]&15])
			continue
		}
		out = append(out, s[i])
	}
	return string(out)
}

func absoluteForm(target string, req *core.Request, loose bool) error {
	scheme, rest, ok := strings.Cut(target, "://")
	if !ok || (!core.EqualFold(scheme, "http") && !core.EqualFold(scheme, "https")) {
		return bad("target %q is neither a path nor an http URL", clip(target))
	}
	authority, origin := rest, "/"
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, origin = rest[:i], rest[i:]
	}
	if authority == "" {
		return bad("target without a host")
	}
	if err := checkAuthority(authority, false); err != nil {
		return err
	}
	req.Authority = authority
	if origin[0] == '?' {
		origin = "/" + origin
	}
	return setOrigin(req, target, origin, loose)
}

// checkConnect checks the authority-form: host and port, both there (RFC 9110 9.3.6).
func checkConnect(target string) error {
	i := strings.LastIndexByte(target, ':')
	if i <= 0 || i == len(target)-1 {
		return bad("target of CONNECT is not host:port")
	}
	return checkAuthority(target, false)
}

// CheckAuthority reports what is wrong with a Host field's value: it must be a host, and an
// optional port, without user information (RFC 9110 7.2). The error is a *core.Error.
func CheckAuthority(s string) error { return checkAuthority(s, true) }

func checkAuthority(s string, emptyOK bool) error {
	host, port := s, ""
	switch {
	case s == "" && emptyOK:
		return nil
	case strings.HasPrefix(s, "["):
		i := strings.IndexByte(s, ']')
		if i < 0 {
			return badHost(s)
		}
		ip, err := netip.ParseAddr(s[1:i])
		if err != nil || !ip.Is6() || ip.Zone() != "" {
			return badHost(s)
		}
		if s[i+1:] == "" {
			return nil
		}
		if s[i+1] != ':' {
			return badHost(s)
		}
		return checkPort(s, s[i+2:])
	default:
		if i := strings.IndexByte(s, ':'); i >= 0 {
			host, port = s[:i], s[i+1:]
		}
	}
	if host == "" || !only(host, isHost) {
		return badHost(s)
	}
	return checkPort(s, port)
}

func checkPort(authority, port string) error {
	if port == "" {
		return nil
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '+' {
		return badHost(authority)
	}
	return nil
}

func badHost(s string) error { return bad("host %q is not a host name with an optional port", clip(s)) }

// CheckTarget takes the :path of HTTP/2 and HTTP/3 into req, whose method is set: origin-form, or
// "*" with OPTIONS (RFC 9113 8.3.1). The error is a *core.Error.
func CheckTarget(path string, req *core.Request) error {
	if path == "" || path[0] != '/' && path != "*" {
		return bad("target %q is not a path", clip(path))
	}
	return parseTarget(path, req)
}
