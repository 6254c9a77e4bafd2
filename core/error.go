package core

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Code names a way an exchange can fail. It is in the access log, the metrics, $error and the
// response header X-Sluice-Error.
type Code string

// The codes. Status and meaning stand in codes below.
const (
	CodeBadRequest       Code = "bad_request"
	CodeClientTimeout    Code = "client_timeout"
	CodeBodyTooLarge     Code = "body_too_large"
	CodeTargetTooLong    Code = "target_too_long"
	CodeHeadTooLarge     Code = "head_too_large"
	CodeExpectation      Code = "expectation_failed"
	CodeClientClosed     Code = "client_closed"
	CodeNoRoute          Code = "no_route"
	CodeRedirectLoop     Code = "redirect_loop"
	CodeFilterFailed     Code = "filter_failed"
	CodeFilterPanic      Code = "filter_panic"
	CodeInternal         Code = "internal_error"
	CodeNoUpstream       Code = "no_upstream"
	CodeNoEndpoint       Code = "no_endpoint"
	CodeOverflow         Code = "upstream_overflow"
	CodeBreakerOpen      Code = "breaker_open"
	CodeCancelled        Code = "cancelled"
	CodeConnectFailed    Code = "connect_failed"
	CodeConnectRefused   Code = "connect_refused"
	CodeConnectTimeout   Code = "connect_timeout"
	CodeUpstreamTLS      Code = "upstream_tls"
	CodeUpstreamReset    Code = "upstream_reset"
	CodeUpstreamProtocol Code = "upstream_protocol"
	CodeTryTimeout       Code = "try_timeout"
	CodeTotalTimeout     Code = "total_timeout"
	CodeIdleTimeout      Code = "idle_timeout"
	CodeShuttingDown     Code = "shutting_down"
)

// CodeInfo is what the reference says of a code.
type CodeInfo struct {
	Code    Code
	Status  int
	Side    Side
	Meaning string
}

var codes = []CodeInfo{
	{CodeBadRequest, 400, SideClient, "the request is not valid HTTP, or two parsers could read it differently"},
	{CodeClientTimeout, 408, SideClient, "the client took too long to send the request"},
	{CodeBodyTooLarge, 413, SideClient, "the request body is above the limit"},
	{CodeTargetTooLong, 414, SideClient, "the request target is above the limit"},
	{CodeHeadTooLarge, 431, SideClient, "the request head is above the limit in bytes or fields"},
	{CodeExpectation, 417, SideClient, "the Expect field asks for something other than 100-continue"},
	{CodeClientClosed, 499, SideClient, "the client went away before the answer"},
	{CodeNoRoute, 404, SideProxy, "no route matches the request"},
	{CodeRedirectLoop, 508, SideProxy, "the request was rerouted more than ten times"},
	{CodeFilterFailed, 500, SideProxy, "a filter returned an error"},
	{CodeFilterPanic, 500, SideProxy, "a filter panicked"},
	{CodeInternal, 500, SideProxy, "the proxy panicked outside of any filter"},
	{CodeNoUpstream, 500, SideProxy, "the route names no upstream and no filter answered"},
	{CodeNoEndpoint, 503, SideProxy, "the upstream has no endpoint that may be used"},
	{CodeOverflow, 503, SideProxy, "the upstream's limit of connections, pending or requests is reached"},
	{CodeBreakerOpen, 503, SideProxy, "the breaker is open"},
	{CodeCancelled, 499, SideProxy, "the try was given up: another one answered, or nobody waits any more"},
	{CodeConnectFailed, 502, SideUpstream, "no connection to the endpoint"},
	{CodeConnectRefused, 502, SideUpstream, "the endpoint refused the connection"},
	{CodeConnectTimeout, 504, SideUpstream, "the endpoint did not accept the connection in time"},
	{CodeUpstreamTLS, 502, SideUpstream, "the TLS handshake with the endpoint failed"},
	{CodeUpstreamReset, 502, SideUpstream, "the endpoint closed the connection before its answer was complete"},
	{CodeUpstreamProtocol, 502, SideUpstream, "the endpoint's answer is not valid HTTP"},
	{CodeTryTimeout, 504, SideUpstream, "the endpoint did not answer within timeout.try"},
	{CodeTotalTimeout, 504, SideUpstream, "all tries together took longer than timeout.total"},
	{CodeIdleTimeout, 504, SideUpstream, "the endpoint stopped sending for longer than timeout.idle"},
	{CodeShuttingDown, 503, SideProxy, "the proxy is draining"},
}

// Codes returns every code with its status and meaning, in the reference's order.
func Codes() []CodeInfo { return slices.Clone(codes) }

func (c Code) info() CodeInfo {
	for i := range codes {
		if codes[i].Code == c {
			return codes[i]
		}
	}
	return CodeInfo{Code: c, Status: 500, Side: SideProxy}
}

// Status returns the HTTP status that a response for the code carries.
func (c Code) Status() int { return c.info().Status }

// Side says whose fault an error is.
type Side uint8

// The sides.
const (
	SideProxy Side = iota
	SideClient
	SideUpstream
)

func (s Side) String() string { return [...]string{"proxy", "client", "upstream"}[s] }

// Error is why an exchange could not be answered. It belongs to that exchange: the chain completes
// it on the way up, so one value must not be returned twice.
type Error struct {
	Code     Code
	Side     Side
	Sent     bool   // some byte of the request may have reached an endpoint
	Status   int    // 0: the code's own
	Filter   string // name of the filter that failed, if one did
	Upstream string
	Endpoint string
	Err      error  // cause, may be nil
	Stack    []byte // of a panic, for the log only

	// RetryAfter is how long the client should wait, sent as Retry-After in whole seconds; 0: not said.
	RetryAfter time.Duration

	outside bool // it came from below the last link of a chain: no link there made it
}

// NewError returns an error of the code with its usual side. cause may be nil.
func NewError(code Code, cause error) *Error {
	return &Error{Code: code, Side: code.info().Side, Err: cause}
}

// Errorf is NewError with a formatted cause.
func Errorf(code Code, format string, args ...any) *Error {
	return NewError(code, fmt.Errorf(format, args...))
}

func (e *Error) Error() string {
	s := ""
	if e.Upstream != "" {
		s += "upstream " + e.Upstream + ": "
	}
	if e.Endpoint != "" {
		s += "endpoint " + e.Endpoint + ": "
	}
	if e.Filter != "" {
		s += "filter " + e.Filter + ": "
	}
	s += string(e.Code)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// StatusCode returns the status that a response for e carries.
func (e *Error) StatusCode() int {
	if e.Status != 0 {
		return e.Status
	}
	return e.Code.Status()
}

// AsError finds the *Error in err's tree.
func AsError(err error) (*Error, bool) {
	if e, ok := err.(*Error); ok {
		return e, true
	}
	var e *Error
	ok := errors.As(err, &e)
	return e, ok
}
