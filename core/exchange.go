package core

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Exchange is one request and its response on their way through the proxy. It is pooled: nothing
// in it may be kept after OnDone has run, except strings, which are always safe to keep.
type Exchange struct {
	Request  Request
	Response Response

	Client   Client   // who asked
	Listener string   // name of the listener
	Runtime  Runtime  // the configuration that this exchange began with and ends with
	Route    *Route   // nil until routed
	Upstream Upstream // nil until routed; a filter may change it until the upstream is called
	Endpoint Endpoint // nil until picked; a filter may set it before the send
	Err      *Error   // why the proxy answered by itself, nil when it did not

	// Attempts are the tries made so far, in order. The last one may still be running.
	Attempts []Attempt
	// Tried are the endpoints that a balancer should avoid, as retry has set them.
	Tried []Endpoint
	// Captures are the path captures of the route.
	Captures []Capture

	// Start is when the first byte of the request was there.
	Start Instant
	// Ended is when the response's last byte had gone, or was given up: set before OnDone.
	Ended Instant
	// BytesIn and BytesOut count what came from and went to the client, heads and framing included.
	// They are complete in OnDone.
	BytesIn, BytesOut int64
	// BodyBytesOut counts the response's body bytes that went to the client.
	BodyBytesOut int64
	// Aborted is set when the response could not be completed.
	Aborted bool

	// Deadline is when all tries together must have ended; 0 for never. The upstream sets it from
	// timeout.total, the timeout filter may set it earlier.
	Deadline Instant
	// TryTimeout replaces the upstream's timeout.try for this exchange when above 0.
	TryTimeout time.Duration

	front  Front
	at     *link
	probed probeState
	vars   []userVar
	done   []Done
	id     string
	hops   int
	random uint64
	log    *slog.Logger
	bg     sync.WaitGroup
	expect atomic.Uint32
	fork   forkState
}

// Client is the other end of the connection an exchange came on.
type Client struct {
	Addr  string     // address of the client: the peer's, or what a trusted proxy or PROXY header says
	Port  uint16     // 0 when only a trusted proxy's header names the client
	IP    netip.Addr // Addr, parsed
	Peer  netip.AddrPort
	Local netip.AddrPort
	TLS   *tls.ConnectionState // nil without TLS
	ID    uint64               // serial number of the connection
	Nth   uint64               // serial number of the exchange on its connection, from 1
}

// Front is what the front end that read an exchange's request offers to those who answer it.
type Front interface {
	// Interim sends a 1xx response other than 101. It is called on the exchange's goroutine.
	Interim(x *Exchange, status int, h *Header) error
	// AbortRequestBody makes a read of the request body that is blocked return an error.
	AbortRequestBody(x *Exchange)
	// ClientGone reports whether the client is known to have gone away. It is safe for concurrent use.
	ClientGone(x *Exchange) bool
}

// Runtime is the running configuration, as far as a filter may ask it.
type Runtime interface {
	// UpstreamByName returns nil when there is none of that name.
	UpstreamByName(name string) Upstream
	// RouteByName looks among the routes of the exchange's listener.
	RouteByName(listener, name string) *Route
}

// Route is a compiled entry of a route table.
type Route struct {
	Name     string
	Metadata map[string]string
	Handler  Handler // the route's filters, then the upstream that they or `to` chose
	Stats    Done    // counts the exchanges that ended on the route; may be nil
}

// Upstream is a named set of endpoints with its filters. Its Handle runs the filters, picks an
// endpoint and sends.
type Upstream interface {
	Handler
	Name() string
	// Endpoints returns the endpoints as they are now.
	Endpoints() []Endpoint
}

// Endpoint is one address of an upstream.
type Endpoint interface {
	Address() string // host:port as configured
	Weight() int
	// Available reports whether a balancer may pick it: healthy, not ejected, below its limits.
	Available() bool
	// State names why it is or is not available: up, slow_start, probing, unhealthy, ejected, full.
	State() string
	InFlight() int
}

// What has become of an Expect: 100-continue.
const (
	expectNone      uint32 = iota
	expectPending          // the client waits; nobody has said anything
	expectDelegated        // the endpoint was asked: its 100 goes to the client
	expectMet              // 100 was sent to the client
)

// SetExpect notes that the client waits for 100 Continue before it sends the body.
func (x *Exchange) SetExpect() { x.expect.Store(expectPending) }

// Expects reports whether the client still waits for 100 Continue.
func (x *Exchange) Expects() bool {
	s := x.expect.Load()
	return s == expectPending || s == expectDelegated
}

// DelegateContinue leaves 100 Continue to the endpoint, to which the expectation was passed on.
func (x *Exchange) DelegateContinue() { x.expect.CompareAndSwap(expectPending, expectDelegated) }

// MeetExpectation reports whether 100 Continue must be sent to the client now, and notes that it
// was. A reader of the body must call it before it waits for the client (endpoint false), and the
// front end when the endpoint has sent a 100 (endpoint true).
func (x *Exchange) MeetExpectation(endpoint bool) bool {
	if x.expect.CompareAndSwap(expectPending, expectMet) {
		return true
	}
	return endpoint && x.expect.CompareAndSwap(expectDelegated, expectMet)
}

// Attempt is one try at an endpoint.
type Attempt struct {
	Upstream string
	Endpoint string // "" when none could be picked
	Status   int    // 0 without a response head
	Code     Code   // why it failed, in its response's body too; "" when it did not
	Reused   bool   // the connection had served before
	Start    Instant
	Connect  time.Duration // until the connection was there, -1 when it never was
	Header   time.Duration // until the response head was there, -1 when it never was
	Total    time.Duration // until the response's last byte, -1 while it runs
	BytesIn  int64         // from the endpoint, body bytes
	BytesOut int64         // to the endpoint, body bytes
}

// Capture is a named part of the path that a route matched.
type Capture struct{ Name, Value string }

// Done is called when the last byte of the response has gone, or never will.
type Done interface {
	Done(x *Exchange)
}

// DoneFunc lets a function be a Done. The closure is an allocation per exchange: a filter that
// runs on every one is better a Done itself.
type DoneFunc func(x *Exchange)

// Done calls f(x).
func (f DoneFunc) Done(x *Exchange) { f(x) }

// OnDone registers d. Those registered last run first.
func (x *Exchange) OnDone(d Done) { x.done = append(x.done, d) }

// Log returns the logger of the running configuration.
func (x *Exchange) Log() *slog.Logger {
	if x.log == nil {
		return slog.Default()
	}
	return x.log
}

func (x *Exchange) logSkipped(e *Error) {
	x.Log().Warn("filter failed and was skipped", "filter", e.Filter, "error", e.Error(), "stack", string(e.Stack))
}

// Go runs f on another goroutine; the exchange does not end before f has returned. A panic of f is
// logged and ends f alone: f must tell whoever waits for it in a defer.
func (x *Exchange) Go(f func()) {
	x.bg.Add(1)
	go x.background(f)
}

func (x *Exchange) background(f func()) {
	defer x.bg.Done()
	defer x.logPanic("panic beside the exchange")
	f()
}

func (x *Exchange) logPanic(message string) {
	if p := recover(); p != nil {
		x.Log().Error(message, "panic", p, "stack", string(debug.Stack()))
	}
}

// Wait waits for what Go has started.
func (x *Exchange) Wait() { x.bg.Wait() }

// Interim sends a 1xx response other than 101 to the client.
func (x *Exchange) Interim(status int, h *Header) error {
	if x.front == nil {
		return nil
	}
	return x.front.Interim(x, status, h)
}

// AbortRequestBody makes a read of the request body that is blocked on the client return.
func (x *Exchange) AbortRequestBody() {
	if x.front != nil {
		x.front.AbortRequestBody(x)
	}
}

// ClientGone reports whether the client is known to have gone away: nobody waits for the answer.
func (x *Exchange) ClientGone() bool { return x.front != nil && x.front.ClientGone(x) }

// Respond makes a response of the proxy's own with a text body. What stood there is closed.
func (x *Exchange) Respond(status int, contentType, body string) {
	x.Response.Reset()
	x.Response.Status = status
	if contentType != "" {
		x.Response.Header.Add("Content-Type", contentType)
	}
	x.Response.Body.SetString(body)
}

// errReroute travels up to the router's loop.
var errReroute = errors.New("reroute")

// MaxReroutes is how often one exchange may go through the router again.
const MaxReroutes = 10

// Reroute asks the router to route the exchange anew, for its changed target. A filter returns
// its result at once. After MaxReroutes it is the error redirect_loop.
func (x *Exchange) Reroute() error {
	if x.hops++; x.hops > MaxReroutes {
		return Errorf(CodeRedirectLoop, "rerouted more than %d times", MaxReroutes)
	}
	return errReroute
}

// IsReroute reports whether err is the result of Reroute.
func IsReroute(err error) bool { return err == errReroute }

// Rerouted reports how often the exchange went through the router again.
func (x *Exchange) Rerouted() int { return x.hops }

// ResetRouting forgets the route, so that the exchange can be routed anew.
func (x *Exchange) ResetRouting() {
	x.Response.Reset()
	x.Route, x.Upstream, x.Endpoint, x.Err = nil, nil, nil, nil
	x.Captures = x.Captures[:0]
	x.Tried = x.Tried[:0]
}

// Attempt returns the number of the current try, from 1; 0 before the first.
func (x *Exchange) Attempt() int { return len(x.Attempts) }

// LastAttempt returns the current try, nil before the first.
func (x *Exchange) LastAttempt() *Attempt {
	if len(x.Attempts) == 0 {
		return nil
	}
	return &x.Attempts[len(x.Attempts)-1]
}

// AttemptAt returns try i, counted from 0; nil when there is none.
func (x *Exchange) AttemptAt(i int) *Attempt {
	if i < 0 || i >= len(x.Attempts) {
		return nil
	}
	return &x.Attempts[i]
}

type userVar struct{ name, value string }

// SetVar sets a variable of the exchange's own, which $var_NAME reads.
func (x *Exchange) SetVar(name, value string) {
	for i := range x.vars {
		if x.vars[i].name == name {
			x.vars[i].value = value
			return
		}
	}
	x.vars = append(x.vars, userVar{name, value})
}

func (x *Exchange) userVar(name string) (string, bool) {
	for i := range x.vars {
		if x.vars[i].name == name {
			return x.vars[i].value, true
		}
	}
	return "", false
}

// Random returns a number that was drawn once for the exchange: whoever decides by chance, and may
// be asked again, decides the same again.
func (x *Exchange) Random() uint64 {
	for x.random == 0 {
		x.random = rand.Uint64()
	}
	return x.random
}

// SetID sets the request's id, which $request_id reads.
func (x *Exchange) SetID(id string) { x.id = id }

// ID returns the request's id: 32 hexadecimal digits unless SetID was called. It is made when
// first asked for.
func (x *Exchange) ID() string {
	if x.id == "" {
		x.id = newID()
	}
	return x.id
}

var exchanges = sync.Pool{New: func() any { return new(Exchange) }}

// NewExchange returns an empty exchange from the pool for a front end to fill.
func NewExchange(front Front, log *slog.Logger) *Exchange {
	x := exchanges.Get().(*Exchange)
	x.front, x.log = front, log
	return x
}

// Finish waits for what Go started, runs the Done list and counts the exchange as ended. The
// front end calls it once, and then Release.
func (x *Exchange) Finish() {
	x.bg.Wait()
	x.joinForks()
	x.Ended = Now()
	x.runDoneList()
}

func (x *Exchange) runDoneList() {
	for i := len(x.done) - 1; i >= 0; i-- {
		x.runDone(x.done[i])
	}
}

func (x *Exchange) runDone(d Done) {
	defer x.logPanic("panic after the exchange")
	d.Done(x)
}

// Release puts the exchange back into the pool.
func (x *Exchange) Release() {
	x.releaseForks()
	clear(x.Attempts)
	clear(x.Tried)
	clear(x.Captures)
	clear(x.vars)
	clear(x.done)
	req, resp := x.Request, x.Response
	req.reset()
	resp.reset()
	*x = Exchange{
		Request: req, Response: resp,
		Attempts: x.Attempts[:0], Tried: x.Tried[:0], Captures: x.Captures[:0],
		vars: x.vars[:0], done: x.done[:0],
	}
	exchanges.Put(x)
}
