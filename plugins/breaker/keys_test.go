package breaker_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/plugins/breaker"
)

// sendAs sends one exchange with the tenant in a header.
func (p *proxy) sendAs(tenant string, answer func(*core.Exchange) error) string {
	p.up.answer = answer
	x := p.exchange()
	if tenant != "" {
		x.Request.Header.Add("X-Tenant", tenant)
	}
	return ending(x, p.chain.Handle(x))
}

func byTenant(c *breaker.Config) {
	consecutive(1)(c)
	c.By = "$http_x_tenant"
}

func TestEachValueOfATemplateIsBrokenForItself(t *testing.T) {
	p := startWith(t, core.ScopeListener, make(map[string]any), byTenant)
	p.sendAs("a", status(500))
	if a, b := p.sendAs("a", status(200)), p.sendAs("b", status(200)); a != "X" || b != "S" {
		t.Errorf("after a failure for a: a gets %s and b %s, due X and S", a, b)
	}
}

func TestAnExchangeWithoutAKeyPasses(t *testing.T) {
	p := startWith(t, core.ScopeRoute, make(map[string]any), byTenant)
	for range 3 {
		if got := p.sendAs("", status(500)); got != "F" {
			t.Fatalf("an exchange without the header got %s, due F", got)
		}
	}
}

func TestEachRouteIsBrokenForItself(t *testing.T) {
	p := start(t, func(c *breaker.Config) {
		consecutive(1)(c)
		c.By = "route"
	})
	send := func(route string, code int) string {
		p.up.answer = status(code)
		x := p.exchange()
		x.Route = &core.Route{Name: route}
		return ending(x, p.chain.Handle(x))
	}
	send("cart", 500)
	if cart, search := send("cart", 200), send("search", 200); cart != "X" || search != "S" {
		t.Errorf("after a failure of cart: cart gets %s and search %s, due X and S", cart, search)
	}
}

func TestTheKeysThatWereNotUsedForLongestAreForgotten(t *testing.T) {
	p := startWith(t, core.ScopeRoute, make(map[string]any), func(c *breaker.Config) {
		byTenant(c)
		c.MaxKeys = 160
	})
	p.sendAs("kept", status(500))
	p.sendAs("forgotten", status(500))
	for i := range 5000 {
		p.sendAs(fmt.Sprint("tenant ", i), status(200))
		if got := p.sendAs("kept", status(200)); got != "X" {
			t.Fatalf("a key in use was forgotten after %d others: came %s, due X", i+1, got)
		}
	}
	if got := p.sendAs("forgotten", status(200)); got != "S" {
		t.Errorf("a key that 5000 others came after is still there: came %s, due S", got)
	}
}

// byEndpoint is a breaker over endpoints a, b and c, of which those named fail.
func byEndpoint(t *testing.T, failing string) (*proxy, func() string) {
	p := start(t, func(c *breaker.Config) {
		consecutive(1)(c)
		c.By = "endpoint"
	})
	for _, name := range []string{"a", "b", "c"} {
		p.up.endpoints = append(p.up.endpoints, &endpoint{address: name})
	}
	return p, func() string {
		return p.send(func(x *core.Exchange) error {
			if x.Endpoint.Address() == failing {
				return status(500)(x)
			}
			return status(200)(x)
		})
	}
}

func (p *proxy) lastPicked() string { return p.up.picked[len(p.up.picked)-1] }

func TestAnEndpointThatIsOpenIsAvoided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, send := byEndpoint(t, "a")
		for i, want := range []string{"a", "b", "b"} {
			if send(); p.lastPicked() != want {
				t.Fatalf("exchange %d went to %s, due %s", i+1, p.lastPicked(), want)
			}
		}
		time.Sleep(time.Second)
		if got := send(); got != "F" || p.lastPicked() != "a" {
			t.Fatalf("when a is due for a probe: came %s from %s, due F from a", got, p.lastPicked())
		}
		if send(); p.lastPicked() != "b" {
			t.Errorf("after the probe failed the next exchange went to %s, due b", p.lastPicked())
		}
	})
}

func TestAnEndpointWhoseProbeSucceedsIsUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, send := byEndpoint(t, "a")
		send()
		time.Sleep(time.Second)
		p.play("S")
		for range 2 {
			if p.play("S"); p.lastPicked() != "a" {
				t.Errorf("after its probe succeeded an exchange went to %s, due a", p.lastPicked())
			}
		}
	})
}

func TestAnEndpointThatCannotBeUsedIsNotProbed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, send := byEndpoint(t, "a")
		send()
		time.Sleep(time.Second)
		p.up.endpoints[0].(*endpoint).down = true
		if got := send(); got != "S" || p.lastPicked() != "b" {
			t.Errorf("a is ejected: came %s from %s, due S from b", got, p.lastPicked())
		}
	})
}

func TestWhenAllEndpointsAreOpenTheAnswerIs503(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := byEndpoint(t, "")
		if got := p.play("FFFF"); got != "FFFX" {
			t.Fatalf("came %s, due FFFX", got)
		}
		time.Sleep(time.Second)
		if got := p.play("S"); got != "S" {
			t.Errorf("when they are due for a probe: came %s, due S", got)
		}
	})
}

func TestAnEndpointThatAFilterHasSetIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, send := byEndpoint(t, "a")
		send()
		pinned := func() string {
			p.up.answer = status(200)
			x := p.exchange()
			x.Endpoint = p.up.endpoints[0]
			return ending(x, p.chain.Handle(x))
		}
		if got := pinned(); got != "X" {
			t.Errorf("set to an endpoint that is open: came %s, due X", got)
		}
		time.Sleep(time.Second)
		if got := pinned() + pinned(); got != "SS" {
			t.Errorf("set to an endpoint that is due for a probe: came %s, due SS", got)
		}
	})
}

func TestEndpointsToAvoidAreTakenBackAfterTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, send := byEndpoint(t, "a")
		send()
		p.up.answer = func(x *core.Exchange) error {
			if len(x.Tried) != 2 {
				t.Errorf("%d endpoints are to be avoided, want c, that a filter above has tried, and a", len(x.Tried))
			}
			return status(200)(x)
		}
		x := p.exchange()
		x.Tried = append(x.Tried, p.up.endpoints[2])
		_ = p.chain.Handle(x)
		if len(x.Tried) != 1 || x.Tried[0] != p.up.endpoints[2] {
			t.Errorf("after the call %d endpoints are in Tried, want only c", len(x.Tried))
		}
	})
}

func TestAnEndpointThatHasRecoveredIsNotOpenedByWhatHungBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := byEndpoint(t, "")
		h := &held{letGo: make(chan struct{})}
		p.up.answer = func(x *core.Exchange) error {
			h.answer(x)
			return fail(core.CodeTryTimeout)(x)
		}
		go func() { _ = p.chain.Handle(p.exchange()) }()
		synctest.Wait()
		p.play("F")
		time.Sleep(time.Second)
		p.play("S")
		close(h.letGo)
		synctest.Wait()
		if p.play("S"); p.lastPicked() != "a" {
			t.Errorf("after a timeout of an exchange from before it opened, the next went to %s, due a", p.lastPicked())
		}
	})
}
