package upstream

import (
	"errors"
	"strings"

	"github.com/sluiceproxy/sluice/core"
)

// sender stands at the end of an upstream's chain: it picks an endpoint and sends to it.
type sender struct{ u *Upstream }

// Handle makes one try. A response that stands there from a former one is closed.
func (s *sender) Handle(x *core.Exchange) error {
	if x.Response.Status != 0 {
		x.Response.Reset()
	}
	pinned, err := s.u.pinned(x)
	x.Attempts = append(x.Attempts, core.Attempt{
		Upstream: s.u.name, Start: core.Now(), Connect: -1, Header: -1, Total: -1,
	})
	var e *Endpoint
	if err == nil {
		e, err = s.u.admit(x, pinned)
	}
	if err != nil {
		return s.u.failed(x, err)
	}
	x.Endpoint = e
	x.LastAttempt().Endpoint = e.address
	return s.u.send(x, e)
}

var errPanicked = errors.New("panic while sending")

// send sends to e, at which a place is reserved.
func (u *Upstream) send(x *core.Exchange, e *Endpoint) error {
	returned := false
	defer func() {
		if !returned { // a body of a filter's panicked: the place must not stay taken
			e.AttemptEnded(x, errPanicked)
		}
	}()
	received := x.Request.Authority
	u.setHost(x, e)
	err := e.peer.pool.RoundTrip(x, e)
	x.Request.Authority = received // what $host shows, and what a next try starts from
	returned = true
	if err == nil {
		u.noteHead(x, e)
		return nil
	}
	err = u.failed(x, err)
	e.AttemptEnded(x, err)
	return err
}

// failed completes the attempt that ended with err, and says in err where that was.
func (u *Upstream) failed(x *core.Exchange, err error) error {
	a := x.LastAttempt()
	if a.Total < 0 {
		a.Total = core.Now().Sub(a.Start)
	}
	e, ok := core.AsError(err)
	if !ok {
		e = core.NewError(core.CodeUpstreamReset, err)
		err = e
	}
	e.Upstream, e.Endpoint = u.name, a.Endpoint
	a.Code = e.Code
	return err
}

// pinned returns the endpoint that a filter has set, nil when the upstream is to pick one: also
// when the one that is set is among those tried.
func (u *Upstream) pinned(x *core.Exchange) (*Endpoint, error) {
	if x.Endpoint == nil {
		return nil, nil
	}
	e, own := x.Endpoint.(*Endpoint)
	switch {
	case own && e.up == u:
	case own && e.up.lineage != u.lineage:
		e = nil
	default:
		e = u.byAddress[x.Endpoint.Address()]
	}
	if e != nil {
		if tried(x, e) {
			return nil, nil
		}
		return e, nil
	}
	if last := x.LastAttempt(); last != nil && last.Upstream != u.name {
		return nil, nil // left over from a try at another upstream
	}
	return nil, core.Errorf(core.CodeNoEndpoint, "a filter chose the endpoint %s, which is not one of this upstream's",
		x.Endpoint.Address())
}

// hostMode says what goes upstream as Host.
type hostMode uint8

const (
	hostPreserve hostMode = iota
	hostEndpoint
	hostTemplate
)

func hostModeOf(t *core.Template) hostMode {
	switch t.String() {
	case "", "preserve":
		return hostPreserve
	case "endpoint":
		return hostEndpoint
	}
	return hostTemplate
}

// hostOf returns what names an address in Host: a socket's path is no host.
func hostOf(address string) string {
	if strings.HasPrefix(address, "unix:") {
		return "localhost"
	}
	return address
}

func (u *Upstream) setHost(x *core.Exchange, e *Endpoint) {
	switch u.host {
	case hostEndpoint:
		x.Request.Authority = hostOf(e.address)
	case hostTemplate:
		x.Request.Authority = u.cfg.Host.Eval(x)
	}
}
