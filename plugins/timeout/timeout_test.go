package timeout_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/plugins/timeout"
)

// through runs x through filters of the configurations given and returns its deadline from now on
// and its TryTimeout, as what stands below sees them.
func through(t testing.TB, x *core.Exchange, configs ...timeout.Config) (total, try time.Duration) {
	t.Helper()
	var links []core.Link
	for _, c := range configs {
		f, err := core.KindByName("timeout").Build(&c, &core.Env{Scope: core.ScopeRoute})
		if err != nil {
			t.Fatalf("build: %v", err)
		}
		links = append(links, core.Link{Name: "timeout", Filter: f})
	}
	called := false
	err := core.Chain(links, core.HandlerFunc(func(x *core.Exchange) error {
		called = true
		if x.Deadline != 0 {
			total = x.Deadline.Sub(core.Now())
		}
		try = x.TryTimeout
		return nil
	})).Handle(x)
	if err != nil || !called {
		t.Fatalf("error %v, next called: %v", err, called)
	}
	return total, try
}

func TestTimeoutSetsWhatItIsGiven(t *testing.T) {
	const second = core.Duration(time.Second)
	for _, c := range []struct {
		name    string
		configs []timeout.Config
		total   time.Duration
		try     time.Duration
	}{
		{"total", []timeout.Config{{Total: 3 * second}}, 3 * time.Second, 0},
		{"try", []timeout.Config{{Try: second}}, 0, time.Second},
		{"an inner total that is shorter", []timeout.Config{{Total: 3 * second}, {Total: second}}, time.Second, 0},
		{"an inner total that is longer", []timeout.Config{{Total: second}, {Total: 3 * second}}, time.Second, 0},
		{"an inner try", []timeout.Config{{Try: second}, {Try: 3 * second}}, 0, 3 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			total, try := through(t, core.NewExchange(nil, nil), c.configs...)
			if total != c.total || try != c.try {
				t.Errorf("%s: deadline in %s, try timeout %s; want %s and %s", c.name, total, try, c.total, c.try)
			}
		})
	}
}

func TestTheShortFormIsTotal(t *testing.T) {
	var c timeout.Config
	if err := c.UnmarshalText([]byte("3s")); err != nil || c.Total.Std() != 3*time.Second || c.Try != 0 {
		t.Errorf("3s became total %s, try %s (error %v), want total 3s", c.Total, c.Try, err)
	}
}

func TestATimeoutOfNothingIsRefused(t *testing.T) {
	if err := new(timeout.Config).Validate(); err == nil {
		t.Error("a configuration without total and try was accepted")
	}
}
