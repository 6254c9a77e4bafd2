package proxy

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/http1"
)

// failText is the body of the proxy's own error responses. It names the code, never the cause:
// addresses and a filter's words are for the log.
func failText(status int, code core.Code) string {
	return strconv.Itoa(status) + " " + http1.StatusText(status) + " (" + string(code) + ")\n"
}

// seconds rounds up: a client that comes back early only fails again.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// logError logs what somebody has to look at: a filter's failure with its stack, an endpoint's in
// a line. What clients do wrong and what limits refuse is in the access log alone.
func logError(x *core.Exchange, e *core.Error) {
	switch {
	case e.Code == core.CodeFilterPanic:
		logAt(x, slog.LevelError, e, slog.String("stack", string(e.Stack)))
	case e.Code == core.CodeFilterFailed, e.Code == core.CodeNoUpstream, e.Code == core.CodeRedirectLoop:
		logAt(x, slog.LevelError, e)
	case e.Side == core.SideUpstream:
		logAt(x, slog.LevelWarn, e)
	}
}

func logAt(x *core.Exchange, level slog.Level, e *core.Error, more ...any) {
	args := append([]any{"error", e.Error(), "listener", x.Listener, "route", routeName(x),
		"method", x.Request.Method, "host", x.Request.Host(), "path", x.Request.RawPath(),
		"client", x.Client.Addr, "request_id", x.ID()}, more...)
	x.Log().Log(context.Background(), level, "exchange failed", args...)
}
