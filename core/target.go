package core

import "strings"

// settlePath rewrites a path as received that has dot segments or doubled slashes, escaped or
// not, so that what is forwarded is what was matched. Any other path is left byte for byte.
func (r *Request) settlePath() {
	if !unsettled(r.path) {
		return
	}
	r.path = EscapePath(cleanPath(r.path))
	r.cleanOK = false
}

// unsettled reports whether path holds "//", "/." or "/%2e" before a segment's end that would
// make it a dot segment.
func unsettled(path string) bool {
	for i := 0; i+1 < len(path); i++ {
		if path[i] != '/' {
			continue
		}
		rest := path[i+1:]
		if rest[0] == '/' || dotSegment(rest) > 0 {
			return true
		}
	}
	return false
}

// dotSegment returns 1 or 2 when s begins with a segment "." or ".." in any spelling, else 0.
func dotSegment(s string) int {
	dots := 0
	for len(s) > 0 && s[0] != '/' {
		switch {
		case s[0] == '.':
			s = s[1:]
		case len(s) >= 3 && s[0] == '%' && s[1] == '2' && lower(s[2]) == 'e':
			s = s[3:]
		default:
			return 0
		}
		if dots++; dots > 2 {
			return 0
		}
	}
	return dots
}

// cleanPath decodes path but for %2F and %5C, and removes dot segments and doubled slashes.
func cleanPath(path string) string {
	if strings.IndexByte(path, '%') < 0 && !unsettled(path) {
		return path
	}
	if path == "" || path[0] != '/' {
		return path
	}
	out := make([]byte, 0, len(path))
	for len(path) > 0 {
		path = path[1:]
		end := strings.IndexByte(path, '/')
		last := end < 0
		if last {
			end = len(path)
		}
		out = appendSegment(out, path[:end], last)
		path = path[end:]
	}
	if len(out) == 0 {
		return "/"
	}
	return string(out)
}

func appendSegment(out []byte, seg string, last bool) []byte {
	dots := dotSegment(seg)
	if dots == 2 {
		if i := lastSlash(out); i >= 0 {
			out = out[:i]
		}
	}
	if dots > 0 || seg == "" {
		if last {
			out = append(out, '/')
		}
		return out
	}
	return appendDecoded(append(out, '/'), seg)
}

func lastSlash(p []byte) int {
	for i := len(p) - 1; i >= 0; i-- {
		if p[i] == '/' {
			return i
		}
	}
	return -1
}

func appendDecoded(out []byte, seg string) []byte {
	for i := 0; i < len(seg); i++ {
		if seg[i] != '%' || i+2 >= len(seg) {
			out = append(out, seg[i])
			continue
		}
		hi, lo := unhex(seg[i+1]), unhex(seg[i+2])
		c := hi<<4 | lo
		if hi > 15 || lo > 15 || c == '/' || c == '\\' || c == '%' {
			out = append(out, seg[i])
			continue
		}
		out = append(out, c)
		i += 2
	}
	return out
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

const upperHex = "0123456789ABCDEF"

// EscapePath escapes what a path may not hold (RFC 3986 3.3). '%' stays when it begins an escape.
func EscapePath(path string) string {
	plain := true
	for i := 0; i < len(path) && plain; i++ {
		plain = pathByte(path, i)
	}
	if plain {
		return path
	}
	out := make([]byte, 0, len(path)+8)
	for i := 0; i < len(path); i++ {
		c := path[i]
		if pathByte(path, i) {
			out = append(out, c)
			continue
		}
		out = append(out, '%', upperHex[c>>4], upperHex[c&15])
	}
	return string(out)
}

func pathByte(path string, i int) bool {
	c := path[i]
	if c == '%' {
		return i+2 < len(path) && unhex(path[i+1]) < 16 && unhex(path[i+2]) < 16
	}
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		strings.IndexByte("-._~!$&'()*+,;=:@/", c) >= 0
}

// hostOnly returns authority without port and trailing dot, in lower case.
func hostOnly(authority string) string {
	host := authority
	if strings.HasPrefix(host, "[") {
		if i := strings.IndexByte(host, ']'); i > 0 {
			host = host[:i+1]
		}
	} else if i := strings.LastIndexByte(host, ':'); i >= 0 {
		host = host[:i]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func lookupArg(query, name string) (string, bool) {
	for len(query) > 0 {
		arg := query
		if i := strings.IndexByte(query, '&'); i >= 0 {
			arg, query = query[:i], query[i+1:]
		} else {
			query = ""
		}
		key, value, _ := strings.Cut(arg, "=")
		if key == name || (needsUnescape(key) && UnescapeQuery(key) == name) {
			return UnescapeQuery(value), true
		}
	}
	return "", false
}

func needsUnescape(s string) bool { return strings.ContainsAny(s, "%+") }

// UnescapeQuery decodes %xx and '+' as application/x-www-form-urlencoded has them. What is not an
// escape stays as it is.
func UnescapeQuery(s string) string {
	if !needsUnescape(s) {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			out = append(out, ' ')
		case s[i] == '%' && i+2 < len(s) && unhex(s[i+1]) < 16 && unhex(s[i+2]) < 16:
			out = append(out, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
		default:
			out = append(out, s[i])
		}
	}
	return string(out)
}

func lookupCookie(line, name string) (string, bool) {
	for len(line) > 0 {
		pair := line
		if i := strings.IndexByte(line, ';'); i >= 0 {
			pair, line = line[:i], line[i+1:]
		} else {
			line = ""
		}
		key, value, ok := strings.Cut(TrimOWS(pair), "=")
		if ok && key == name {
			return value, true
		}
	}
	return "", false
}
