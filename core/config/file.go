package config

import (
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/admin"
	"github.com/sluiceproxy/sluice/core/config/decode"
	"github.com/sluiceproxy/sluice/core/route"
	"github.com/sluiceproxy/sluice/core/server"
	"github.com/sluiceproxy/sluice/core/upstream"
)

// File is a configuration, decoded and checked.
type File struct {
	// Listeners are where requests come in, by name.
	Listeners map[string]*server.ListenerConfig `yaml:"listeners,required"`
	// Routes say which requests go where. A route belongs to all listeners unless it names some.
	Routes []*route.Config `yaml:"routes"`
	// Upstreams are where requests go, by name.
	Upstreams map[string]*upstream.Config `yaml:"upstreams"`
	// Filters are filters, and lists of them, to be referred to by name in any filters list. Each
	// place that refers to one has a filter of its own, with its own state.
	Filters map[string]core.FilterList `yaml:"filters"`
	// Admin is the address of metrics, readiness and state. Default: none.
	Admin *admin.Config `yaml:"admin"`
	// Include lists further files, as names or patterns such as conf.d/*.yaml, relative to the
	// folder of this file. Their listeners, upstreams and filters are added by name, their routes
	// appended in the order of the files' names; any other key may be in one file only. An included
	// file includes none itself. Relative names in it are meant from the folder of this file.
	// Default: none.
	Include []string `yaml:"include"`
	// Log says what the proxy writes about itself. It is not the access log, which is a filter.
	Log Log `yaml:"log"`
	// Watch loads the configuration anew when one of its files changes. Default: true.
	Watch bool `yaml:"watch"`
	// Shutdown says how the proxy ends.
	Shutdown Shutdown `yaml:"shutdown"`

	// Warnings are what is probably not meant as it is, such as an upstream that nothing uses.
	Warnings Errors `yaml:"-"`

	name   string // of the main file, as given
	dir    string // its folder
	inputs inputs
}

// Log says what the proxy writes about itself.
type Log struct {
	// Level is the least severity that is written. Default: info.
	Level string `yaml:"level" enum:"debug,info,warn,error"`
	// Format of a line: text (key=value) or json. Default: text.
	Format string `yaml:"format" enum:"text,json"`
	// File that lines are appended to; stderr for the standard error. Default: stderr.
	File string `yaml:"file"`
}

// Shutdown says how the proxy ends.
type Shutdown struct {
	// Drain is how long exchanges that run may take to end after SIGTERM; then they are cut.
	// Default: 30s.
	Drain core.Duration `yaml:"drain"`
}

// Defaults implements core.Defaulter.
func (f *File) Defaults() { f.Watch = true }

// Defaults implements core.Defaulter.
func (l *Log) Defaults() { *l = Log{Level: "info", Format: "text", File: "stderr"} }

// Defaults implements core.Defaulter.
func (s *Shutdown) Defaults() { s.Drain = core.Duration(30 * time.Second) }

// Error is one mistake in a configuration: its file, line and column, its path and what to do.
type Error = decode.Error

// Errors is every mistake in a configuration. As an error it is one line each.
type Errors = decode.Errors
