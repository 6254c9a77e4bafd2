package core

import (
	"os"
	"sync"
	"sync/atomic"
	"time"
)

var proxyVars = []varDef{
	{name: "route", doc: "name of the route", text: func(x *Exchange) (string, bool) {
		if x.Route == nil {
			return "", false
		}
		return set(x.Route.Name)
	}},
	{name: "upstream", doc: "name of the upstream", text: func(x *Exchange) (string, bool) {
		if x.Upstream == nil {
			return "", false
		}
		return set(x.Upstream.Name())
	}},
	{name: "endpoint", doc: "address of the endpoint of the last attempt, or the one picked for the first",
		text: endpointVar},
	{name: "attempts", doc: "number of attempts so far",
		integer: func(x *Exchange) (int64, bool) { return int64(len(x.Attempts)), true }},
	{name: "error", doc: "code of the error that the proxy answered with", text: onError(func(e *Error) string {
		return string(e.Code)
	})},
	{name: "error_message", doc: "the error in words", text: onError((*Error).Error)},
	{name: "error_filter", doc: "name of the filter that failed", text: onError(func(e *Error) string { return e.Filter })},
	{name: "hostname", doc: "name of this machine", text: func(*Exchange) (string, bool) { return set(hostname()) }},
	{name: "pid", doc: "id of the proxy's process", integer: func(*Exchange) (int64, bool) { return int64(pid), true }},
	{name: "msec", doc: "seconds since 1970",
		millis: func(*Exchange) (int64, bool) { return time.Now().UnixMilli(), true }},
	{name: "time_local", doc: "local time as in 02/Jan/2006:15:04:05 -0700",
		text: func(*Exchange) (string, bool) { return thisSecond().local, true }},
	{name: "time_iso8601", doc: "local time as in 2006-01-02T15:04:05-07:00",
		text: func(*Exchange) (string, bool) { return thisSecond().iso, true }},
}

func onError(read func(*Error) string) func(*Exchange) (string, bool) {
	return func(x *Exchange) (string, bool) {
		if x.Err == nil {
			return "", false
		}
		return set(read(x.Err))
	}
}

func endpointVar(x *Exchange) (string, bool) {
	if x.Endpoint != nil {
		return set(x.Endpoint.Address())
	}
	if a := x.LastAttempt(); a != nil {
		return set(a.Endpoint)
	}
	return "", false
}

var (
	pid      = os.Getpid()
	hostname = sync.OnceValue(func() string {
		name, _ := os.Hostname()
		return name
	})
)

// second is the time in words, which stays the same for a second.
type second struct {
	unix       int64
	local, iso string
}

var lastSecond atomic.Pointer[second]

func thisSecond() *second {
	now := time.Now()
	unix := now.Unix()
	if s := lastSecond.Load(); s != nil && s.unix == unix {
		return s
	}
	s := &second{unix: unix, local: now.Format("02/Jan/2006:15:04:05 -0700"), iso: now.Format("2006-01-02T15:04:05-07:00")}
	lastSecond.Store(s)
	return s
}
