package core

import (
	"strconv"
	"time"
)

// The upstream_ variables list a value for each attempt, joined with ", "; "-" stands for a value
// that an attempt does not have. They are unset before the first attempt.
var upstreamVars = []varDef{
	{name: "upstream_addr", doc: "address of the endpoint, the upstream's name when none could be picked; one per attempt",
		compose: perAttempt(func(dst []byte, a *Attempt) []byte {
			if a.Endpoint == "" {
				return append(dst, a.Upstream...)
			}
			return append(dst, a.Endpoint...)
		})},
	{name: "upstream_status", doc: "status of the answer, or of the error instead of one; one per attempt",
		compose: perAttempt(func(dst []byte, a *Attempt) []byte {
			switch {
			case a.Status != 0:
				return strconv.AppendInt(dst, int64(a.Status), 10)
			case a.Code != "":
				return strconv.AppendInt(dst, int64(a.Code.Status()), 10)
			}
			return append(dst, '-')
		})},
	{name: "upstream_connect_time", doc: "seconds until the connection was there; one per attempt",
		compose: perAttempt(func(dst []byte, a *Attempt) []byte { return appendElapsed(dst, a.Connect) })},
	{name: "upstream_header_time", doc: "seconds until the response head was there; one per attempt",
		compose: perAttempt(func(dst []byte, a *Attempt) []byte { return appendElapsed(dst, a.Header) })},
	{name: "upstream_response_time", doc: "seconds until the last byte of the response; one per attempt",
		compose: perAttempt(func(dst []byte, a *Attempt) []byte { return appendElapsed(dst, a.Total) })},
	{name: "upstream_response_length", doc: "bytes of the response body; one per attempt", compose: perAttempt(appendBytesIn)},
	{name: "upstream_bytes_received", doc: "the same as upstream_response_length", compose: perAttempt(appendBytesIn)},
	{name: "upstream_bytes_sent", doc: "bytes of the request body; one per attempt",
		compose: perAttempt(func(dst []byte, a *Attempt) []byte { return strconv.AppendInt(dst, a.BytesOut, 10) })},
}

func perAttempt(one func(dst []byte, a *Attempt) []byte) func([]byte, *Exchange) []byte {
	return func(dst []byte, x *Exchange) []byte {
		for i := range x.Attempts {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = one(dst, &x.Attempts[i])
		}
		return dst
	}
}

func appendElapsed(dst []byte, d time.Duration) []byte {
	if d < 0 {
		return append(dst, '-')
	}
	return appendMillis(dst, d.Milliseconds())
}

func appendBytesIn(dst []byte, a *Attempt) []byte { return strconv.AppendInt(dst, a.BytesIn, 10) }
