package core

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"
)

// A Handler answers an exchange: it fills x.Response, or returns why it could not.
type Handler interface {
	Handle(x *Exchange) error
}

// HandlerFunc lets a function be a Handler.
type HandlerFunc func(x *Exchange) error

// Handle calls f(x).
func (f HandlerFunc) Handle(x *Exchange) error { return f(x) }

// A Filter is one link of a chain. It may change the request, answer by itself, call next once,
// several times (a retry), or not at all (a breaker, an auth check), and change the response.
//
// next returns when the response head is there; the body is still on its way. What must happen
// after the last byte is registered with x.OnDone. A filter is shared by all exchanges and must
// be safe for concurrent use. One that holds something implements io.Closer and is closed when
// the last exchange of its configuration has ended.
type Filter interface {
	Handle(x *Exchange, next Handler) error
}

// An Observer is a filter that watches exchanges and changes nothing, such as a log. In a
// listener's list it also sees those whose request was refused, because it was not valid, before
// any filter could run: Observe is called instead of Handle, with the response in x, and has only
// x.OnDone to use.
type Observer interface {
	Observe(x *Exchange)
}

// OnError says what becomes of an exchange when a filter fails.
type OnError uint8

// The values of a filter's on_error.
const (
	OnErrorFail OnError = iota // the exchange fails with filter_failed or filter_panic
	OnErrorSkip                // the exchange goes on as if the filter were not there
)

// Link is a filter as the configuration placed it in a list.
type Link struct {
	Name    string     // unique within its list; in logs, metrics and errors
	Kind    string     // registered name of the filter
	Filter  Filter     //
	When    *Condition // nil: always
	OnError OnError
	Stats   *FilterStats // never nil once compiled
}

// FilterStats counts what went wrong in a filter.
type FilterStats struct {
	Errors  atomic.Uint64 // errors of the filter's own making
	Panics  atomic.Uint64 // panics, counted in Errors too
	Skipped atomic.Uint64 // failures that on_error: skip passed over
}

// Chain compiles links, in order, onto last and returns the handler that runs them. It is called
// when the configuration loads; running the result allocates nothing.
func Chain(links []Link, last Handler) Handler {
	if len(links) == 0 {
		return last
	}
	var next Handler = &outlet{last}
	for i := len(links) - 1; i >= 0; i-- {
		l := links[i]
		if l.Stats == nil {
			l.Stats = new(FilterStats)
		}
		if l.OnError == OnErrorSkip {
			probe := &probe{next: next}
			next = &skipLink{link: link{Link: l, next: probe}, after: next}
			continue
		}
		next = &link{Link: l, next: next}
	}
	return next
}

type link struct {
	Link
	next Handler
}

func (l *link) Handle(x *Exchange) error {
	wanted, err := l.wanted(x)
	if err != nil {
		return err
	}
	if !wanted {
		return l.next.Handle(x)
	}
	return l.run(x)
}

// wanted evaluates when. That it cannot be evaluated is a failure of the filter: to leave the
// filter out could let something pass.
func (l *link) wanted(x *Exchange) (bool, error) {
	if l.When == nil {
		return true, nil
	}
	ok, err := l.When.Eval(x)
	if err == nil {
		return ok, nil
	}
	l.Stats.Errors.Add(1)
	return false, &Error{Code: CodeFilterFailed, Side: SideProxy, Filter: l.Name, Err: fmt.Errorf("when: %w", err)}
}

// run calls the filter. A panic becomes the exchange's error here, link by link, so that the
// filters above see an ordinary failure and the name in the error is the right one.
func (l *link) run(x *Exchange) (err error) {
	outer := x.at
	x.at = l
	defer l.leave(x, outer, &err)
	return l.Filter.Handle(x, l.next)
}

func (l *link) leave(x *Exchange, outer *link, err *error) {
	own := x.at == l
	x.at = outer
	if p := recover(); p != nil {
		if !own {
			*err = &Error{Code: CodeInternal, Side: SideProxy, Err: fmt.Errorf("panic: %v", p), Stack: debug.Stack(), outside: true}
			return
		}
		l.Stats.Panics.Add(1)
		l.Stats.Errors.Add(1)
		*err = &Error{Code: CodeFilterPanic, Side: SideProxy, Filter: l.Name,
			Err: fmt.Errorf("panic: %v", p), Stack: debug.Stack()}
		return
	}
	if *err != nil {
		*err = l.own(*err)
	}
}

// own types an error that did not come typed from below: then the filter itself made it.
func (l *link) own(err error) error {
	if e, ok := AsError(err); ok {
		if e.Filter == "" && e.Side == SideProxy && !e.outside {
			e.Filter = l.Name
		}
		return err
	}
	if err == errReroute {
		return err
	}
	l.Stats.Errors.Add(1)
	return &Error{Code: CodeFilterFailed, Side: SideProxy, Filter: l.Name, Err: err}
}

// skipLink is a link with on_error: skip. When the filter fails before it called next, the chain
// goes on below it; afterwards, the response it was handed stands.
type skipLink struct {
	link
	after Handler
}

func (l *skipLink) Handle(x *Exchange) error {
	wanted, err := l.wanted(x)
	if err != nil {
		return l.skip(x, err)
	}
	if !wanted {
		return l.after.Handle(x)
	}
	outer := x.probed
	x.probed = probeState{}
	err = l.run(x)
	below := x.probed
	x.probed = outer
	if err == nil || err == below.err {
		return err
	}
	e, ok := AsError(err)
	if !ok || e.Filter != l.Name || (e.Code != CodeFilterFailed && e.Code != CodeFilterPanic) {
		return err
	}
	if !below.called {
		return l.skip(x, e)
	}
	l.noteSkipped(x, e)
	return below.err
}

// skip goes on below the filter, which failed with err.
func (l *skipLink) skip(x *Exchange, err error) error {
	if e, ok := AsError(err); ok {
		l.noteSkipped(x, e)
	}
	return l.after.Handle(x)
}

func (l *skipLink) noteSkipped(x *Exchange, e *Error) {
	l.Stats.Skipped.Add(1)
	x.logSkipped(e)
}

// outlet stands between the last link of a chain and what the chain leads to, whose errors and
// panics are no filter's.
type outlet struct {
	last Handler
}

func (o *outlet) Handle(x *Exchange) error {
	at := x.at
	x.at = nil
	err := o.last.Handle(x)
	x.at = at
	if err != nil {
		if e, ok := AsError(err); ok {
			e.outside = true
		}
	}
	return err
}

// probe stands below a skipLink and notes whether next was called and what it returned.
type probe struct {
	next Handler
}

type probeState struct {
	called bool
	err    error
}

func (p *probe) Handle(x *Exchange) error {
	outer := x.probed
	err := p.next.Handle(x)
	x.probed = outer
	x.probed.called, x.probed.err = true, err
	return err
}
