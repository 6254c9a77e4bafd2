package core_test

import (
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/core"
)

func outcomeSet(t *testing.T, names ...string) *core.OutcomeSet {
	t.Helper()
	list := make([]core.Outcome, len(names))
	for i, name := range names {
		if err := list[i].UnmarshalText([]byte(name)); err != nil {
			t.Fatalf("outcome %q: %v", name, err)
		}
	}
	return core.NewOutcomeSet(list)
}

func TestAnOutcomeMatchesTheErrorsAndAnswersItNames(t *testing.T) {
	failure := func(code core.Code, sent bool) error {
		e := core.NewError(code, nil)
		e.Sent = sent
		return e
	}
	for _, c := range []struct {
		name    string
		status  int
		grpc    string
		err     error
		rescued bool // the error has become a response below
		match   bool
	}{
		{name: "connect", err: failure(core.CodeConnectFailed, false), match: true},
		{name: "connect", err: failure(core.CodeConnectRefused, false), match: true},
		{name: "connect", err: failure(core.CodeConnectTimeout, false), match: true},
		{name: "connect", err: failure(core.CodeUpstreamTLS, false), match: true},
		{name: "connect", err: failure(core.CodeUpstreamReset, true)},
		{name: "connect", status: 0},
		{name: "refused", err: failure(core.CodeConnectRefused, false), match: true},
		{name: "refused", err: failure(core.CodeConnectFailed, false)},
		{name: "refused", err: failure(core.CodeUpstreamReset, false), match: true},
		{name: "refused", err: failure(core.CodeUpstreamReset, true)},
		{name: "reset", err: failure(core.CodeUpstreamReset, true), match: true},
		{name: "timeout", err: failure(core.CodeTryTimeout, true), match: true},
		{name: "timeout", err: failure(core.CodeTotalTimeout, true)},
		{name: "5xx", status: 500, match: true},
		{name: "5xx", status: 599, match: true},
		{name: "5xx", status: 499},
		{name: "5xx", err: failure(core.CodeUpstreamReset, true)},
		{name: "5xx", status: 502, err: failure(core.CodeUpstreamReset, true), rescued: true},
		{name: "reset", status: 502, err: failure(core.CodeUpstreamReset, true), rescued: true, match: true},
		{name: "gateway-error", status: 503, match: true},
		{name: "gateway-error", status: 500},
		{name: "retriable-4xx", status: 429, match: true},
		{name: "retriable-4xx", status: 404},
		{name: "503", status: 503, match: true},
		{name: "503", status: 504},
		{name: "grpc:unavailable", status: 200, grpc: "14", match: true},
		{name: "grpc:14", status: 200, grpc: "14", match: true},
		{name: "grpc:14", status: 200, grpc: "0"},
		{name: "grpc:14", status: 200, grpc: "140"},
		{name: "grpc:14", status: 200},
	} {
		x := core.NewExchange(nil, nil)
		x.Response.Status = c.status
		if c.grpc != "" {
			x.Response.Header.Add("Grpc-Status", c.grpc)
		}
		err := c.err
		if c.rescued {
			x.Err, _ = core.AsError(err)
			err = nil
		}
		if got := outcomeSet(t, c.name).Match(x, err); got != c.match {
			t.Errorf("%s: Match(status %d, grpc-status %q, error %v, rescued %v) = %v, want %v",
				c.name, c.status, c.grpc, c.err, c.rescued, got, c.match)
		}
	}
}

func TestAnUnknownOutcomeIsRefusedWithWhatToWrite(t *testing.T) {
	for text, want := range map[string]string{
		"":             "is not an outcome: write connect",
		"conect":       "is not an outcome: write connect",
		"600":          "a status such as 503",
		"099":          "a status such as 503",
		"grpc:0":       "write grpc:1 to grpc:16",
		"grpc:17":      "write grpc:1 to grpc:16",
		"grpc:missing": "grpc:unavailable",
	} {
		var o core.Outcome
		if err := o.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("outcome %q: error %v, want one with %q", text, err, want)
		}
	}
}
