package accesslog

import (
	"fmt"

	"github.com/sluiceproxy/sluice/core"
)

// line appends what is logged of an exchange, without a line's end.
type line interface {
	Append(dst []byte, x *core.Exchange) []byte
}

// The formats of nginx and, before it, of Apache and NCSA.
const (
	common   = `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent`
	combined = common + ` "$http_referer" "$http_user_agent"`
)

func parseFormat(format string, escape core.EscapeKind) (line, error) {
	switch format {
	case "":
		return nil, fmt.Errorf("format is empty: write combined, common, json or a template")
	case "json":
		return object, nil
	case "combined":
		format = combined
	case "common":
		format = common
	}
	t, err := core.ParseLogTemplate(format, escape)
	if err != nil {
		return nil, fmt.Errorf("format: %w", err)
	}
	return t, nil
}

// object is the format json.
var object = members{
	text("time", "$time_iso8601"),
	text("id", "$request_id"),
	text("listener", "$listener"),
	text("client", "$remote_addr"),
	text("user", "$remote_user"),
	text("method", "$request_method"),
	text("scheme", "$scheme"),
	text("host", "$host"),
	text("uri", "$request_uri"),
	text("protocol", "$server_protocol"),
	number("status", "$status"),
	number("bytes_in", "$request_length"),
	number("bytes_out", "$bytes_sent"),
	number("body_bytes_out", "$body_bytes_sent"),
	number("seconds", "$request_time"),
	text("completion", "$request_completion"),
	text("route", "$route"),
	text("upstream", "$upstream"),
	text("endpoint", "$endpoint"),
	number("attempts", "$attempts"),
	text("upstream_status", "$upstream_status"),
	text("upstream_connect_seconds", "$upstream_connect_time"),
	text("upstream_header_seconds", "$upstream_header_time"),
	text("upstream_seconds", "$upstream_response_time"),
	text("error", "$error"),
	text("error_message", "$error_message"),
	text("referer", "$http_referer"),
	text("user_agent", "$http_user_agent"),
}

// members are those of a JSON object. One whose value is empty is left out.
type members []member

type member struct {
	key    string // with what stands before the value
	value  *core.Template
	quoted bool
}

func text(key, variable string) member {
	return member{key: `"` + key + `":"`, value: mustParse(variable), quoted: true}
}

func number(key, variable string) member {
	return member{key: `"` + key + `":`, value: mustParse(variable)}
}

func mustParse(variable string) *core.Template {
	t, err := core.ParseLogTemplate(variable, core.EscapeJSON)
	if err != nil {
		panic(err)
	}
	return t
}

// Append implements line.
func (ms members) Append(dst []byte, x *core.Exchange) []byte {
	dst = append(dst, '{')
	first := len(dst)
	for i := range ms {
		m, start := &ms[i], len(dst)
		if start > first {
			dst = append(dst, ',')
		}
		dst = append(dst, m.key...)
		value := len(dst)
		if dst = m.value.Append(dst, x); len(dst) == value {
			dst = dst[:start]
			continue
		}
		if m.quoted {
			dst = append(dst, '"')
		}
	}
	return append(dst, '}')
}
