package core

import "strings"

var responseVars = []varDef{
	{name: "status", doc: "status of the response, unset before there is one",
		integer: func(x *Exchange) (int64, bool) { return int64(x.Response.Status), x.Response.Status != 0 }},
	{name: "bytes_sent", doc: "bytes sent to the client, head and framing included; complete in logs",
		integer: func(x *Exchange) (int64, bool) { return x.BytesOut, true }},
	{name: "body_bytes_sent", doc: "bytes of the response body sent to the client; complete in logs",
		integer: func(x *Exchange) (int64, bool) { return x.BodyBytesOut, true }},
	{name: "request_completion", doc: "\"OK\" in logs when the response was sent whole",
		text: func(x *Exchange) (string, bool) {
			if x.Aborted || x.Response.Status == 0 {
				return "", false
			}
			return "OK", true
		}},
	{name: "sent_http_content_length", doc: "length of the response body in bytes, unset while it is not known",
		integer: func(x *Exchange) (int64, bool) { return contentLength(&x.Response.Body, &x.Response.Header) }},
	{name: "sent_http_", doc: "response field NAME as it is now, '-' written as '_'; repeats are joined with \", \"",
		family: func(x *Exchange, arg string) (string, bool) { return fieldVar(&x.Response.Header, arg) }},
	{name: "upstream_http_", doc: "response field NAME as it is now, unset when no endpoint answered",
		family: func(x *Exchange, arg string) (string, bool) {
			if x.Response.Proto == 0 {
				return "", false
			}
			return fieldVar(&x.Response.Header, arg)
		}},
	{name: "upstream_cookie_", doc: "value of cookie NAME that the endpoint sets", family: setCookie},
}

func setCookie(x *Exchange, name string) (string, bool) {
	if x.Response.Proto == 0 {
		return "", false
	}
	for i := range x.Response.Header.fields {
		f := &x.Response.Header.fields[i]
		if !EqualFold(f.Name, "Set-Cookie") {
			continue
		}
		pair, _, _ := strings.Cut(f.Value, ";")
		key, value, ok := strings.Cut(pair, "=")
		if ok && TrimOWS(key) == name {
			return TrimOWS(value), true
		}
	}
	return "", false
}
