package core_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/core"
)

type stampConfig struct {
	Text string `yaml:"text"`
}

func (c *stampConfig) Defaults() { c.Text = "stamp" }

func init() {
	core.Register("test_stamp", "adds a field", core.ScopeRoute|core.ScopeUpstream,
		func(c *stampConfig, env *core.Env) (core.Filter, error) {
			return filterFunc(func(x *core.Exchange, next core.Handler) error {
				x.Request.Header.Add(env.Name, c.Text)
				return next.Handle(x)
			}), nil
		})
}

func TestARegisteredFilterIsBuiltFromItsDefaults(t *testing.T) {
	kind := core.KindByName("test_stamp")
	if kind == nil || !slices.Contains(core.Kinds(), kind) || kind.Scopes.String() != "route, upstream" {
		t.Fatalf("kind %+v", kind)
	}
	f, err := kind.Build(kind.New(), &core.Env{Name: "X-Stamp"})
	if err != nil {
		t.Fatal(err)
	}
	x := get(t, "/")
	if err := f.Handle(x, core.HandlerFunc(func(*core.Exchange) error { return nil })); err != nil || x.Request.Header.Get("X-Stamp") != "stamp" {
		t.Errorf("field %q, error %v", x.Request.Header.Get("X-Stamp"), err)
	}
	if core.KindByName("nope") != nil {
		t.Error("a filter that nobody registered was found")
	}
}

func TestAFilterIsRegisteredOnce(t *testing.T) {
	defer func() {
		if p, _ := recover().(string); !strings.Contains(p, "test_stamp is registered twice") {
			t.Errorf("panic %q, due one that names the filter", p)
		}
	}()
	core.Register("test_stamp", "", core.ScopeAny, func(*stampConfig, *core.Env) (core.Filter, error) { return nil, nil })
}

func TestNearestNames(t *testing.T) {
	names := []string{"host", "request_method", "retry", "rate_limit"}
	for name, due := range map[string]string{
		"hots": "host", "Host": "host", "HOST": "host", "request-method": "request_method", "ratelimit": "rate_limit",
		"rety": "retry", "xyz": "", "h": "", "": "", "completely_else": "",
	} {
		if got := core.Nearest(name, names); got != due {
			t.Errorf("nearest to %q: %q, due %q", name, got, due)
		}
	}
}
