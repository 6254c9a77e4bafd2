package core

import (
	"fmt"
	"strconv"
	"strings"
)

// Outcome names a way a try can end badly, as the lists of retry and breaker have it:
//
//	connect        no connection, or no TLS session, to the endpoint: nothing was sent
//	refused        the endpoint refused the connection, or the stream before it read the request
//	reset          the endpoint closed the connection before its response head
//	timeout        no connection or no response head within its time
//	4xx, 5xx       an answer of that class
//	gateway-error  an answer 502, 503 or 504
//	retriable-4xx  an answer 409, 425 or 429
//	503            an answer of that status
//	grpc:14        an answer without a message and with that grpc-status; grpc:unavailable is the same
//
// An answer's status is the endpoint's own: the 502 that the proxy makes of a reset is a reset.
type Outcome struct {
	errors outcomeErrors
	lo, hi int   // a range of statuses, both ends included; hi is 0 for none
	status []int // further statuses
	grpc   int   // a gRPC status, 0 for none
	text   string
}

type outcomeErrors uint8

const (
	outcomeConnect outcomeErrors = 1 << iota
	outcomeRefused
	outcomeReset
	outcomeTimeout
)

var outcomes = map[string]Outcome{
	"connect":       {errors: outcomeConnect},
	"refused":       {errors: outcomeRefused},
	"reset":         {errors: outcomeReset},
	"timeout":       {errors: outcomeTimeout},
	"4xx":           {lo: 400, hi: 499},
	"5xx":           {lo: 500, hi: 599},
	"gateway-error": {lo: 502, hi: 504},
	"retriable-4xx": {status: []int{409, 425, 429}},
}

// The gRPC status codes, by number.
var grpcCodes = [...]string{"ok", "cancelled", "unknown", "invalid_argument", "deadline_exceeded",
	"not_found", "already_exists", "permission_denied", "resource_exhausted", "failed_precondition",
	"aborted", "out_of_range", "unimplemented", "internal", "unavailable", "data_loss", "unauthenticated"}

// UnmarshalText parses one name, status or gRPC status.
func (o *Outcome) UnmarshalText(text []byte) error {
	in := strings.ToLower(strings.TrimSpace(string(text)))
	if code, ok := strings.CutPrefix(in, "grpc:"); ok {
		return o.parseGRPC(in, code)
	}
	if known, ok := outcomes[in]; ok {
		*o = known
		o.text = in
		return nil
	}
	n, err := strconv.Atoi(in)
	if err != nil || n < 200 || n > 599 {
		return fmt.Errorf("%q is not an outcome: write connect, refused, reset, timeout, 4xx, 5xx, "+
			"gateway-error, retriable-4xx, a status such as 503, or a gRPC status such as grpc:unavailable", text)
	}
	*o = Outcome{lo: n, hi: n, text: in}
	return nil
}

func (o *Outcome) parseGRPC(in, code string) error {
	n, err := strconv.Atoi(code)
	for i, name := range grpcCodes {
		if name == code {
			n, err = i, nil
		}
	}
	if err != nil || n < 1 || n >= len(grpcCodes) {
		return fmt.Errorf("%q is not a gRPC failure: write grpc:1 to grpc:%d, or a name such as grpc:unavailable",
			in, len(grpcCodes)-1)
	}
	*o = Outcome{grpc: n, text: in}
	return nil
}

// String returns the name as it was written.
func (o Outcome) String() string { return o.text }

// OutcomeSet is a list of outcomes, compiled for the request path. The zero value matches nothing.
type OutcomeSet struct {
	errors outcomeErrors
	status [600/64 + 1]uint64
	grpc   uint32
}

// NewOutcomeSet compiles a list.
func NewOutcomeSet(list []Outcome) *OutcomeSet {
	s := new(OutcomeSet)
	for _, o := range list {
		s.errors |= o.errors
		for n := max(o.lo, 1); n <= o.hi; n++ {
			s.status[n/64] |= 1 << (n % 64)
		}
		for _, n := range o.status {
			s.status[n/64] |= 1 << (n % 64)
		}
		if o.grpc > 0 {
			s.grpc |= 1 << o.grpc
		}
	}
	return s
}

// GRPC reports whether a gRPC status is in the set.
func (s *OutcomeSet) GRPC() bool { return s.grpc != 0 }

// Failure returns why no answer came, given what next has returned: err, or the error of which a
// rescue below has made a response already. It is nil when there is an answer.
func (x *Exchange) Failure(err error) *Error {
	if err == nil {
		return x.Err
	}
	if e, ok := AsError(err); ok {
		return e
	}
	return NewError(CodeFilterFailed, err)
}

// Match reports whether what next has returned, err or else x.Response, is in the set.
func (s *OutcomeSet) Match(x *Exchange, err error) bool {
	if e := x.Failure(err); e != nil {
		return s.MatchCode(e.Code) || !e.Sent && e.Code == CodeUpstreamReset && s.errors&outcomeRefused != 0
	}
	if n := x.Response.Status; n >= 0 && n < 600 && s.status[n/64]&(1<<(n%64)) != 0 {
		return true
	}
	return s.grpc != 0 && s.matchGRPC(&x.Response.Header)
}

// MatchStatus reports whether an answer of that status is in the set.
func (s *OutcomeSet) MatchStatus(status int) bool {
	return status >= 0 && status < 600 && s.status[status/64]&(1<<(status%64)) != 0
}

func (s *OutcomeSet) matchGRPC(h *Header) bool {
	text, ok := h.Lookup("grpc-status")
	if !ok {
		return false
	}
	n, err := strconv.Atoi(text)
	return err == nil && n > 0 && n < len(grpcCodes) && s.grpc&(1<<n) != 0
}

// MatchCode reports whether an error of the code is in the set, as Attempt has it of a body that
// broke off.
func (s *OutcomeSet) MatchCode(code Code) bool {
	switch code {
	case CodeConnectFailed, CodeUpstreamTLS:
		return s.errors&outcomeConnect != 0
	case CodeConnectRefused:
		return s.errors&(outcomeConnect|outcomeRefused) != 0
	case CodeConnectTimeout:
		return s.errors&(outcomeConnect|outcomeTimeout) != 0
	case CodeUpstreamReset:
		return s.errors&outcomeReset != 0
	case CodeTryTimeout, CodeIdleTimeout:
		return s.errors&outcomeTimeout != 0
	}
	return false
}
