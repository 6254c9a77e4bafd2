package core

import (
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sort"
	"strings"
	"sync"
)

// Scope is where a filter list stands.
type Scope uint8

// The scopes, from the client to the endpoint.
const (
	ScopeListener Scope = 1 << iota
	ScopeRoute
	ScopeUpstream
	ScopeAny = ScopeListener | ScopeRoute | ScopeUpstream
)

func (s Scope) String() string {
	var out []string
	for i, name := range []string{"listener", "route", "upstream"} {
		if s&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return strings.Join(out, ", ")
}

// Env is what a filter is built with.
type Env struct {
	Name  string // the filter's name in its list
	Scope Scope
	Owner string // the listener's, route's or upstream's name
	Dir   string // folder of the configuration file, for relative paths
	Log   *slog.Logger
	// State returns the value kept under the filter's identity and key, making it when there is
	// none. It outlives reloads for as long as the filter's configuration stays the same; a value
	// that implements io.Closer is closed when no configuration in use has it any more.
	State func(key string, make func() any) any
}

// Kind is a registered filter.
type Kind struct {
	Name   string
	Doc    string // one sentence for the reference
	Scopes Scope
	Config reflect.Type // a struct
	// New returns a pointer to a Config with its defaults.
	New func() any
	// Build makes the filter from what New returned and the decoder filled.
	Build func(config any, env *Env) (Filter, error)
}

// Defaulter is implemented by a filter's configuration whose zero value is not its default.
type Defaulter interface {
	Defaults()
}

// Validator is implemented by a filter's configuration that can be wrong as a whole. The error is
// shown with the filter's position.
type Validator interface {
	Validate() error
}

var registry struct {
	mu    sync.RWMutex // guards kinds
	kinds map[string]*Kind
}

// Register adds a filter under name, to be called from a plugin's init. C is the struct that its
// YAML is decoded into; a pointer to it may implement Defaulter, Validator and
// encoding.TextUnmarshaler (for a short form). It panics when the name is taken.
func Register[C any](name, doc string, scopes Scope, build func(c *C, env *Env) (Filter, error)) {
	registry.mu.Lock()
	defer registry.mu.Unlock()
	if _, taken := registry.kinds[name]; taken {
		panic(fmt.Sprintf("filter %s is registered twice", name))
	}
	if registry.kinds == nil {
		registry.kinds = make(map[string]*Kind)
	}
	registry.kinds[name] = &Kind{
		Name: name, Doc: doc, Scopes: scopes, Config: reflect.TypeFor[C](),
		New: func() any {
			c := new(C)
			if d, ok := any(c).(Defaulter); ok {
				d.Defaults()
			}
			return c
		},
		Build: func(c any, env *Env) (Filter, error) { return build(c.(*C), env) },
	}
}

// KindByName returns the filter registered under name, nil when there is none.
func KindByName(name string) *Kind {
	registry.mu.RLock()
	defer registry.mu.RUnlock()
	return registry.kinds[name]
}

// Kinds returns every registered filter, by name.
func Kinds() []*Kind {
	registry.mu.RLock()
	defer registry.mu.RUnlock()
	out := make([]*Kind, 0, len(registry.kinds))
	for _, k := range registry.kinds {
		out = append(out, k)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return slices.Clip(out)
}
