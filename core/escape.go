package core

import (
	"fmt"
	"unicode/utf8"
)

// EscapeKind is how the values of variables are written in a log.
type EscapeKind uint8

// The kinds, as nginx's log_format has them.
const (
	EscapeOff     EscapeKind = iota // values as they are
	EscapeDefault                   // '"', '\' and all that is not printable ASCII as \xXX; "-" for an empty value
	EscapeJSON                      // as inside a JSON string; bytes that are not UTF-8 become U+FFFD
)

// UnmarshalText parses default, json or none.
func (k *EscapeKind) UnmarshalText(text []byte) error {
	switch string(text) {
	case "default":
		*k = EscapeDefault
	case "json":
		*k = EscapeJSON
	case "none":
		*k = EscapeOff
	default:
		return fmt.Errorf("%q is no way to escape: write default, json or none", text)
	}
	return nil
}

func (k EscapeKind) String() string { return [...]string{"none", "default", "json"}[k] }

// appendVar appends the escaped value of v. The value is written in place and moved only when
// something in it must be escaped.
func (k EscapeKind) appendVar(dst []byte, v Var, x *Exchange) []byte {
	from := len(dst)
	dst = v.Append(dst, x)
	raw := dst[from:]
	if len(raw) == 0 {
		if k == EscapeDefault {
			return append(dst, '-')
		}
		return dst
	}
	if k.plain(raw) {
		return dst
	}
	dst = k.appendEscaped(dst, raw)
	return dst[:from+copy(dst[from:], dst[from+len(raw):])]
}

func (k EscapeKind) plain(p []byte) bool {
	for _, c := range p {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

func (k EscapeKind) appendEscaped(dst, p []byte) []byte {
	if k == EscapeJSON {
		return appendJSON(dst, p)
	}
	for _, c := range p {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			dst = append(dst, '\\', 'x', upperHex[c>>4], upperHex[c&15])
			continue
		}
		dst = append(dst, c)
	}
	return dst
}

func appendJSON(dst, p []byte) []byte {
	for len(p) > 0 {
		r, size := utf8.DecodeRune(p)
		switch {
		case r == utf8.RuneError && size == 1:
			dst = append(dst, `\ufffd`...)
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, `\n`...)
		case r == '\r':
			dst = append(dst, `\r`...)
		case r == '\t':
			dst = append(dst, `\t`...)
		case r < ' ' || r == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', upperHex[r>>4], upperHex[r&15])
		default:
			dst = append(dst, p[:size]...)
		}
		p = p[size:]
	}
	return dst
}
