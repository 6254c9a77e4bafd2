package route

import (
	"fmt"

	"github.com/sluiceproxy/sluice/core"
)

// Config is one entry of routes.
type Config struct {
	// Name of the route: logs, metrics and errors use it.
	Name string `yaml:"name,required"`
	// Listeners that the route belongs to. Default: all.
	Listeners []string `yaml:"listeners"`
	// Match says which requests the route takes. Default: all.
	Match Match `yaml:"match"`
	// Filters that run for requests of this route, in order.
	Filters core.FilterList `yaml:"filters"`
	// Rewrite changes the path before the upstream is called.
	Rewrite *Rewrite `yaml:"rewrite"`
	// To is the upstream's name, or a split. It may be left out when a filter answers.
	To *To `yaml:"to"`
	// Metadata is for filters and plugins to read.
	Metadata map[string]string `yaml:"metadata"`
}

// Match is a set of criteria; all that are given must hold.
type Match struct {
	// Host names: exact, or *.example.org for every name below it. Without a port, in any case.
	Host []string `yaml:"host"`
	// Path patterns, on the decoded path: /a exactly; /a/* for one more segment; /a/** for /a and
	// everything below it; /a/{id} captures a segment and /a/{rest...} what is left, as $path_id
	// and $path_rest; ~REGEX matches the whole path, and its named groups are captures.
	Path []string `yaml:"path"`
	// Method names, such as GET.
	Method []string `yaml:"method"`
	// Scheme: http or https.
	Scheme string `yaml:"scheme" enum:"http,https"`
	// Header fields by name: a value, ~REGEX for a value that matches as a whole, * for present,
	// ! for absent.
	Header map[string]string `yaml:"header"`
	// Query arguments by name, as header has them.
	Query map[string]string `yaml:"query"`
	// Cookie values by name, as header has them.
	Cookie map[string]string `yaml:"cookie"`
	// Client addresses: 10.0.0.1 or 10.0.0.0/8.
	Client []string `yaml:"client"`
	// Weight is the share of requests that the route takes of those that match it otherwise; the
	// rest go on to the next route. Default: 100%.
	Weight *core.Percent `yaml:"weight"`
	// When is a condition over variables.
	When *core.Condition `yaml:"when"`
}

// Order is how a table's routes are tried.
type Order string

// The orders.
const (
	Specific Order = "specific"
	Listed   Order = "listed"
)

// Entry is a route to be compiled into a table.
type Entry struct {
	Config *Config
	Route  *core.Route
}

func (e *Entry) errorf(format string, args ...any) error {
	return fmt.Errorf("route %s: %w", e.Config.Name, fmt.Errorf(format, args...))
}
