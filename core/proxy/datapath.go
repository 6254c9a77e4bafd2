package proxy

import (
	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/route"
)

// ListenerConfig is what a listener's handler is made of.
type ListenerConfig struct {
	Filters  []core.Link
	Table    *route.Table
	Unrouted core.Done // counts exchanges that no route took; may be nil
}

// Listener returns the handler of a listener. It always leaves a response: what it returns is nil.
//
//	rescue -> listener.filters -> router -> rescue -> route.filters -> dispatch
//	       -> rescue -> upstream.filters -> pick -> send
func Listener(c ListenerConfig) core.Handler {
	router := &router{table: c.Table, unrouted: c.Unrouted}
	return &rescue{next: core.Chain(c.Filters, router)}
}

// router finds the route, unless a listener filter has, and runs it: again when a filter asks.
type router struct {
	table    *route.Table
	unrouted core.Done
}

func (r *router) Handle(x *core.Exchange) error {
	for {
		err := r.once(x)
		if !core.IsReroute(err) {
			return err
		}
		x.ResetRouting()
	}
}

func (r *router) once(x *core.Exchange) error {
	if x.Route == nil && x.Upstream != nil {
		return callUpstream(x)
	}
	if x.Route == nil {
		x.Route = r.table.Match(x)
	}
	if x.Route == nil {
		if r.unrouted != nil {
			x.OnDone(r.unrouted)
		}
		return core.Errorf(core.CodeNoRoute, "no route for host %q, path %q", x.Request.Host(), x.Request.Path())
	}
	return x.Route.Handler.Handle(x)
}

// RouteConfig is what a route's handler is made of.
type RouteConfig struct {
	Filters []core.Link
	Rewrite *route.Rewrite // nil: none
	To      *route.Target  // nil: a filter answers or chooses
	Stats   core.Done      // counts the route's exchanges; may be nil
}

// Route returns the handler of a route.
func Route(c RouteConfig) core.Handler {
	return &entry{
		rescue: rescue{next: core.Chain(c.Filters, &dispatch{rewrite: c.Rewrite, to: c.To})},
		to:     c.To, stats: c.Stats,
	}
}

// entry chooses the upstream before the route's filters run, so that they see it and may choose
// another.
type entry struct {
	rescue
	to    *route.Target
	stats core.Done
}

func (e *entry) Handle(x *core.Exchange) error {
	if e.stats != nil {
		x.OnDone(e.stats)
	}
	if e.to != nil && x.Upstream == nil {
		x.Upstream = e.to.Choose(x)
	}
	err := e.rescue.Handle(x)
	if e.to != nil && err == nil {
		e.to.Finish(x)
	}
	return err
}

// dispatch stands below the route's filters and calls the upstream that was chosen.
type dispatch struct {
	rewrite *route.Rewrite
	to      *route.Target
}

func (d *dispatch) Handle(x *core.Exchange) error {
	if d.rewrite != nil && !x.Rewritten {
		d.rewrite.Apply(x)
		x.Rewritten = true
	}
	return callUpstream(x)
}

// callUpstream runs the upstream's filters and its send. An answer that stood there before, as
// when a filter calls next again, is given up.
func callUpstream(x *core.Exchange) error {
	if x.Upstream == nil {
		return core.Errorf(core.CodeNoUpstream, "route %s names no upstream in `to`, and no filter answered", routeName(x))
	}
	if x.Response.Status != 0 {
		x.Response.Reset()
		if !x.Request.Body.Rewind() {
			return core.Errorf(core.CodeFilterFailed, "the request body is gone and cannot be sent again")
		}
	}
	x.Err = nil
	return respond(x, x.Upstream.Handle(x))
}

func routeName(x *core.Exchange) string {
	if x.Route == nil {
		return "(none)"
	}
	return x.Route.Name
}

// rescue makes a response of an error from below, so that the filters above it see the proxy's
// own 502 as they see any other answer.
type rescue struct {
	next core.Handler
}

func (r *rescue) Handle(x *core.Exchange) error { return respond(x, r.next.Handle(x)) }

// ErrorHeader carries the code of an error in the response that the proxy makes of it.
const ErrorHeader = "X-Sluice-Error"

// respond turns err into the response that it is due. Only a reroute passes.
func respond(x *core.Exchange, err error) error {
	if err == nil && x.Response.Status == 0 {
		err = core.Errorf(core.CodeFilterFailed, "a filter neither answered nor called the next one")
	}
	if err == nil || core.IsReroute(err) {
		return err
	}
	e, ok := core.AsError(err)
	if !ok {
		e = core.NewError(core.CodeFilterFailed, err)
	}
	x.Err = e
	logError(x, e)
	Fail(x, e)
	return nil
}

// Fail makes the proxy's own response for e, without logging it.
func Fail(x *core.Exchange, e *core.Error) {
	status := e.StatusCode()
	x.Respond(status, "text/plain; charset=utf-8", failText(status, e.Code))
	x.Response.Header.Add(ErrorHeader, string(e.Code))
	if e.RetryAfter > 0 {
		x.Response.Header.Add("Retry-After", seconds(e.RetryAfter))
	}
	x.Err = e
}
