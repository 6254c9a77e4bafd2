package proxy

import (
	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/route"
)

// ListenerConfig is what a listener's handler is made of.
type ListenerConfig struct {
	Filters  []core.Link
	Table    *route.Table
	Unrouted core.Done // counts exchanges that end on no route; may be nil
}

// Listener returns the handler of a listener. It always leaves a response: what it returns is nil.
//
//	entry -> listener.filters -> rescue -> router -> route.filters -> rescue -> dispatch
//	      -> upstream.filters -> pick -> send
func Listener(c ListenerConfig) core.Handler {
	router := &rescue{next: &router{table: c.Table}}
	return &entry{next: core.Chain(c.Filters, router), filters: c.Filters, stats: &counter{unrouted: c.Unrouted}}
}

// entry is what a listener calls. Nothing but a response comes out of it.
type entry struct {
	next    core.Handler
	filters []core.Link
	stats   *counter
}

// Refused counts an exchange whose request was not valid, and shows it to the listener's observers.
// The response is in x; no other filter sees it, since nobody knows what the request says.
func (e *entry) Refused(x *core.Exchange) {
	x.OnDone(e.stats)
	for _, l := range e.filters {
		if o, ok := l.Filter.(core.Observer); ok && l.When.Match(x) {
			o.Observe(x)
		}
	}
}

func (e *entry) Handle(x *core.Exchange) error {
	x.OnDone(e.stats)
	err := e.next.Handle(x)
	if core.IsReroute(err) {
		err = core.Errorf(core.CodeFilterFailed, "a listener filter cannot reroute: nothing was routed yet")
	}
	return respond(x, err)
}

// counter counts an exchange once, where it ended.
type counter struct {
	unrouted core.Done
}

func (c *counter) Done(x *core.Exchange) {
	switch {
	case x.Route != nil && x.Route.Stats != nil:
		x.Route.Stats.Done(x)
	case c.unrouted != nil:
		c.unrouted.Done(x)
	}
}

// router finds the route, unless a listener filter has, and runs it: again when a filter asks.
type router struct {
	table *route.Table
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
		return core.Errorf(core.CodeNoRoute, "no route for host %q, path %q", x.Request.Host(), x.Request.Path())
	}
	return x.Route.Handler.Handle(x)
}

// RouteConfig is what a route's handler is made of.
type RouteConfig struct {
	Filters []core.Link
	Rewrite *route.Rewrite // nil: none
	To      *route.Target  // nil: a filter answers or chooses
}

// Route returns the handler of a route.
func Route(c RouteConfig) core.Handler {
	chain := core.Chain(c.Filters, &rescue{next: &dispatch{rewrite: c.Rewrite}})
	if c.To == nil {
		return chain
	}
	return &choice{to: c.To, next: chain}
}

// choice chooses the upstream before the route's filters run, so that they see it and may choose
// another.
type choice struct {
	to   *route.Target
	next core.Handler
}

func (c *choice) Handle(x *core.Exchange) error {
	if x.Upstream == nil {
		x.Upstream = c.to.Choose(x)
	}
	if err := c.next.Handle(x); err != nil {
		return err
	}
	c.to.Finish(x)
	return nil
}

// dispatch stands below the route's filters and calls the upstream that was chosen.
type dispatch struct {
	rewrite *route.Rewrite
}

func (d *dispatch) Handle(x *core.Exchange) error {
	if d.rewrite == nil {
		return callUpstream(x)
	}
	// The endpoint alone sees the rewritten path: a filter that calls next again starts from the
	// path that was matched.
	path := x.Request.RawPath()
	d.rewrite.Apply(x)
	err := callUpstream(x)
	x.Request.SetPath(path)
	return err
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
	return x.Upstream.Handle(x)
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
