package core

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

var requestVars = []varDef{
	{name: "request", doc: "request line as received: method, target, version", compose: appendRequestLine},
	{name: "request_method", doc: "method", text: func(x *Exchange) (string, bool) { return set(x.Request.Method) }},
	{name: "request_uri", doc: "request-target as received, with its query",
		text: func(x *Exchange) (string, bool) { return set(x.Request.received) }},
	{name: "uri", doc: "decoded path with dot segments resolved, as the filters have changed it; set: escaped as needed",
		text: uriVar, set: setURI},
	{name: "document_uri", doc: "the same as uri", text: uriVar, set: setURI},
	{name: "args", doc: "query without '?', escaped; set: \"\" removes it", text: argsVar, set: setArgs},
	{name: "query_string", doc: "the same as args", text: argsVar, set: setArgs},
	{name: "is_args", doc: "\"?\" when args is not empty", text: func(x *Exchange) (string, bool) {
		if x.Request.query == "" {
			return "", false
		}
		return "?", true
	}},
	{name: "arg_", doc: "first query argument NAME, unescaped; NAME is compared byte for byte",
		family: func(x *Exchange, arg string) (string, bool) { return x.Request.Arg(arg) }},
	{name: "host", doc: "host of the request without port, in lower case",
		text: func(x *Exchange) (string, bool) { return set(x.Request.Host()) }},
	{name: "http_host", doc: "Host as received, with its port",
		text: func(x *Exchange) (string, bool) { return set(x.Request.Authority) }},
	{name: "http_", doc: "request field NAME, '-' written as '_'; repeats are joined with \", \"",
		family: func(x *Exchange, arg string) (string, bool) { return fieldVar(&x.Request.Header, arg) }},
	{name: "cookie_", doc: "first cookie NAME, as received",
		family: func(x *Exchange, arg string) (string, bool) { return x.Request.Cookie(arg) }},
	{name: "content_type", doc: "Content-Type of the request",
		text: func(x *Exchange) (string, bool) { return x.Request.Header.Lookup("Content-Type") }},
	{name: "content_length", doc: "length of the request body in bytes, unset while it is not known",
		integer: func(x *Exchange) (int64, bool) { return contentLength(&x.Request.Body, &x.Request.Header) }},
	{name: "request_body", doc: "request body, when a filter has buffered it", compose: appendRequestBody},
	{name: "request_length", doc: "bytes read from the client for this request, head included",
		integer: func(x *Exchange) (int64, bool) { return x.BytesIn, true }},
	{name: "request_time", doc: "time since the first byte of the request",
		millis: func(x *Exchange) (int64, bool) { return requestTime(x).Milliseconds(), true }},
	{name: "request_id", doc: "id of the request: 32 hexadecimal digits unless a filter set another",
		text: func(x *Exchange) (string, bool) { return x.ID(), true }},
	{name: "scheme", doc: "http or https", text: func(x *Exchange) (string, bool) { return set(x.Request.Scheme) }},
	{name: "https", doc: "\"on\" when the scheme is https", text: func(x *Exchange) (string, bool) {
		if x.Request.Scheme != "https" {
			return "", false
		}
		return "on", true
	}},
	{name: "server_protocol", doc: "version of the request, such as HTTP/1.1",
		text: func(x *Exchange) (string, bool) { return set(x.Request.Proto.String()) }},
	{name: "remote_user", doc: "user name of Basic authentication, not verified", text: basicUser},
	{name: "proxy_add_x_forwarded_for", doc: "X-Forwarded-For as received with remote_addr appended",
		compose: appendForwardedFor},
	{name: "path_", doc: "capture {NAME} of the route's path",
		family: func(x *Exchange, arg string) (string, bool) { return x.capture(arg) }},
	{name: "var_", doc: "variable NAME that a filter or script has set on the exchange",
		family: func(x *Exchange, arg string) (string, bool) { return x.userVar(arg) },
		set: func(x *Exchange, arg, value string) error {
			x.SetVar(arg, value)
			return nil
		}},
}

// set returns s, which counts as unset when it is empty.
func set(s string) (string, bool) { return s, s != "" }

func uriVar(x *Exchange) (string, bool) { return set(x.Request.Path()) }

func setURI(x *Exchange, _, value string) error {
	if !strings.HasPrefix(value, "/") {
		return fmt.Errorf("%q does not begin with a slash", value)
	}
	x.Request.SetPath(EscapePath(value))
	x.Request.settlePath()
	return nil
}

func argsVar(x *Exchange) (string, bool) { return set(x.Request.query) }

func setArgs(x *Exchange, _, value string) error {
	for i := 0; i < len(value); i++ {
		if c := value[i]; c <= ' ' || c >= 0x7f || c == '#' {
			return fmt.Errorf("byte %d of %q must be escaped: write %%%02X", i+1, value, c)
		}
	}
	x.Request.SetQuery(value)
	return nil
}

func appendRequestLine(dst []byte, x *Exchange) []byte {
	r := &x.Request
	if r.Method == "" {
		return dst
	}
	dst = append(append(dst, r.Method...), ' ')
	dst = append(append(dst, r.received...), ' ')
	return append(dst, r.Proto.String()...)
}

func appendRequestBody(dst []byte, x *Exchange) []byte {
	p, text, _ := x.Request.Body.Buffered()
	return append(append(dst, p...), text...)
}

func appendForwardedFor(dst []byte, x *Exchange) []byte {
	if list, ok := fieldVar(&x.Request.Header, "x_forwarded_for"); ok && list != "" {
		dst = append(append(dst, list...), ", "...)
	}
	return append(dst, x.Client.Addr...)
}

var errNotBasic = errors.New("not Basic authentication")

func basicUser(x *Exchange) (string, bool) {
	value, ok := x.Request.Header.Lookup("Authorization")
	if !ok {
		return "", false
	}
	user, err := parseBasicUser(value)
	return user, err == nil && user != ""
}

// parseBasicUser follows RFC 7617 2: the user name ends at the first colon.
func parseBasicUser(value string) (string, error) {
	scheme, encoded, ok := strings.Cut(value, " ")
	if !ok || !EqualFold(scheme, "Basic") {
		return "", errNotBasic
	}
	raw, err := base64.StdEncoding.DecodeString(TrimOWS(encoded))
	if err != nil {
		return "", err
	}
	user, _, ok := strings.Cut(string(raw), ":")
	if !ok {
		return "", errNotBasic
	}
	return user, nil
}

// contentLength prefers what the body knows: the filters may have changed it.
func contentLength(b *Body, h *Header) (int64, bool) {
	if !b.None() {
		return b.Length(), b.Length() >= 0
	}
	text, ok := h.Lookup("Content-Length")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

// fieldVar finds the field whose name in a variable is arg. A '_' stands for '-' only: a client
// that sends X_User must not pass for one that sends X-User.
func fieldVar(h *Header, arg string) (string, bool) {
	value, found := "", false
	for i := range h.fields {
		f := &h.fields[i]
		if !namesField(arg, f.Name) {
			continue
		}
		switch {
		case !found:
			value, found = f.Value, true
		case arg == "cookie":
			value += "; " + f.Value
		default:
			value += ", " + f.Value
		}
	}
	return value, found
}

func namesField(arg, field string) bool {
	if len(arg) != len(field) {
		return false
	}
	for i := 0; i < len(arg); i++ {
		c := lower(arg[i])
		if c == '_' {
			c = '-'
		}
		if c != lower(field[i]) {
			return false
		}
	}
	return true
}

// requestTime is the time from the request's first byte to the response's last, or to now.
func requestTime(x *Exchange) time.Duration {
	if x.Ended != 0 {
		return x.Ended.Sub(x.Start)
	}
	return Now().Sub(x.Start)
}
