package accesslog

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/sluiceproxy/sluice/core"
)

func init() {
	core.Register("access_log", "Writes a line for every exchange when it has ended.",
		core.ScopeListener|core.ScopeRoute, New)
}

// Config is the YAML of the filter access_log. Short form: what Path is.
type Config struct {
	// Format is combined or common, which are nginx's, json, which is an object a line with what
	// the proxy knows (fields that are not set are left out), or any template of variables.
	// Default: combined.
	Format string `yaml:"format"`

	// Escape says how the values of variables are written in a format other than json: default
	// (a quote, a backslash and all that is not printable ASCII as \xXX, nothing as "-"), json (as
	// inside a JSON string) or none (as they are: a client can write lines of its own then).
	// Default: default.
	Escape core.EscapeKind `yaml:"escape" enum:"default,json,none"`

	// Path is a file, relative to the configuration's folder, or stdout or stderr. The file is made
	// when it is missing, appended to, and opened anew on SIGUSR1, so that it can be rotated.
	// Filters that name the same file share it, with the Buffer, Flush and Backlog of the one that
	// was loaded last. Default: stdout.
	Path string `yaml:"path"`

	// Buffer is how many bytes are gathered before they are written. 0: a line is written at once.
	// Default: 64KiB; range: 0 to 16MiB.
	Buffer core.Size `yaml:"buffer"`

	// Flush is the longest time that a line waits for others. Default: 1s; range: 10ms to 1h.
	Flush core.Duration `yaml:"flush"`

	// Backlog is how much memory lines may take while the file cannot keep up. Lines beyond it are
	// dropped, counted and warned of in the proxy's own log. Default: 4MiB; range: Buffer to 1GiB.
	Backlog core.Size `yaml:"backlog"`

	// If limits the log to exchanges that meet the condition when they have ended, such as
	// status >= 500 || request_time > 1; when, in contrast, is asked before there is a response.
	// Default: all.
	If *core.Condition `yaml:"if"`
}

// Defaults implements core.Defaulter.
func (c *Config) Defaults() {
	*c = Config{
		Format: "combined", Escape: core.EscapeDefault, Path: "stdout",
		Buffer: 64 << 10, Flush: core.Duration(time.Second), Backlog: 4 << 20,
	}
}

// UnmarshalText parses the short form.
func (c *Config) UnmarshalText(text []byte) error {
	c.Path = string(text)
	return nil
}

// Validate implements core.Validator.
func (c *Config) Validate() error {
	switch {
	case c.Path == "":
		return errors.New("path is empty: write a file, stdout or stderr")
	case c.Buffer > 16<<20:
		return fmt.Errorf("buffer %s is out of range: write 0 to 16MiB", c.Buffer)
	case c.Flush.Std() < 10*time.Millisecond || c.Flush.Std() > time.Hour:
		return fmt.Errorf("flush %s is out of range: write 10ms to 1h", c.Flush)
	case c.Backlog < c.Buffer || c.Backlog > 1<<30 || c.Backlog == 0:
		return fmt.Errorf("backlog %s is out of range: write %s, which is buffer, to 1GiB", c.Backlog, c.Buffer)
	}
	_, err := parseFormat(c.Format, c.Escape)
	return err
}

// Filter logs exchanges.
type Filter struct {
	line line
	cond *core.Condition
	sink *sink
}

// New makes the filter and opens its file. The caller closes the filter.
func New(c *Config, env *core.Env) (core.Filter, error) {
	l, err := parseFormat(c.Format, c.Escape)
	if err != nil {
		return nil, err
	}
	path := c.Path
	if path != "stdout" && path != "stderr" && !filepath.IsAbs(path) {
		path = filepath.Join(env.Dir, path)
	}
	s, err := acquire(path, settings{
		buffer: int(c.Buffer), backlog: int(c.Backlog), flush: c.Flush.Std(), log: env.Log,
	})
	if err != nil {
		return nil, err
	}
	return &Filter{line: l, cond: c.If, sink: s}, nil
}

// Handle implements core.Filter. An exchange that is routed anew is logged once.
func (f *Filter) Handle(x *core.Exchange, next core.Handler) error {
	err := next.Handle(x)
	if !core.IsReroute(err) {
		x.OnDone(f)
	}
	return err
}

// Observe implements core.Observer: requests that are not valid have their line too.
func (f *Filter) Observe(x *core.Exchange) { x.OnDone(f) }

// Done implements core.Done: it takes the line down. It never waits for the file.
func (f *Filter) Done(x *core.Exchange) {
	if f.cond.Match(x) {
		f.sink.add(f.line, x)
	}
}

// Close implements io.Closer: it writes what is left and, when no other filter has the file, closes
// it.
func (f *Filter) Close() error { return f.sink.release() }
