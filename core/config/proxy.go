package config

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/core/metrics"
	"github.com/sluiceproxy/sluice/core/server"
)

// Options are what a Proxy is started with beside its file. The zero value is usual.
type Options struct {
	// Log replaces what the log section says.
	Log *slog.Logger
	// NoWatch leaves the files unwatched whatever the watch key says.
	NoWatch bool
}

// Proxy is a running proxy. Its methods may be called at any time from any goroutine.
type Proxy struct {
	name    string // of the main file
	options Options
	output  *logOutput
	log     *slog.Logger
	metrics *metrics.Registry
	server  *server.Server
	state   stateStore
	current atomic.Pointer[Generation]
	live    sync.WaitGroup // generations that are not closed yet, the watcher, admin servers that end

	mu     sync.Mutex // guards what follows; held while a configuration is loaded
	inputs inputs     // of the last configuration that was tried
	admin  *adminServer
	watch  *watcher
	closed bool
}

// Start loads a configuration and serves it. An error says everything that is wrong, and nothing
// listens then. The Proxy runs until it is closed.
func Start(file string, o Options) (*Proxy, error) {
	p := &Proxy{name: file, options: o, output: newLogOutput(), metrics: metrics.New()}
	p.log = o.Log
	if p.log == nil {
		p.log = p.output.logger()
	}
	p.server = server.New(p.log)
	p.mu.Lock()
	err := p.load()
	p.mu.Unlock()
	if err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// Reload loads the configuration anew. Exchanges that run end on the one they began with. On an
// error, which says everything that is wrong and is logged too, the running one stays.
func (p *Proxy) Reload() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reload()
}

func (p *Proxy) reload() error {
	if p.closed {
		return errors.New("the proxy is shutting down")
	}
	began := time.Now()
	err := p.load()
	p.metrics.Reloaded(err)
	if err == nil {
		p.log.Info("configuration reloaded", "took", time.Since(began))
		return nil
	}
	for _, e := range flatten(err) {
		p.log.Error("configuration refused, the running one stays", "error", e)
	}
	return err
}

// flatten returns the errors that err joins.
func flatten(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var out []error
	for _, e := range joined.Unwrap() {
		out = append(out, flatten(e)...)
	}
	return out
}

// load reads, builds and commits the configuration. On an error all is as it was.
func (p *Proxy) load() error {
	f, errs := load(p.name)
	p.inputs = f.inputs
	if p.watch != nil {
		p.watch.follow(p.inputs.places())
		p.watch.look()
	}
	if len(errs) > 0 {
		return errs
	}
	c, err := p.candidate(f)
	if err != nil {
		return err
	}
	c.commit()
	return nil
}

// changed is called when some file may have changed.
func (p *Proxy) changed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.watch == nil {
		return
	}
	p.watch.follow(p.inputs.places()) // a folder may have come
	if p.inputs.changed() {
		_ = p.reload() // which has logged its error
	}
}

// setWatch turns watching on or off.
func (p *Proxy) setWatch(on bool) {
	switch {
	case !on && p.watch != nil:
		p.watch.close()
		p.watch = nil
	case on && p.watch == nil:
		w, err := newWatcher(p.inputs.places(), p.log)
		if err != nil {
			p.log.Warn("the configuration is not watched for changes", "error", err)
			return
		}
		p.watch = w
		p.live.Go(func() { w.run(p.changed) })
	}
}

// ReopenLog opens the file of the log section again, after it was moved away.
func (p *Proxy) ReopenLog() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.Current().file
	out, err := p.openLog(f)
	if err == nil {
		p.output.use(&f.Log, out)
	}
	return err
}

// Server returns the server, which outlives configurations.
func (p *Proxy) Server() *server.Server { return p.server }

// Metrics returns what was counted.
func (p *Proxy) Metrics() *metrics.Registry { return p.metrics }

// Current returns the running configuration.
func (p *Proxy) Current() *Generation { return p.current.Load() }

// Log returns the proxy's own log.
func (p *Proxy) Log() *slog.Logger { return p.log }

// AdminAddr returns the address of the admin server, nil without one.
func (p *Proxy) AdminAddr() net.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.admin == nil {
		return nil
	}
	return p.admin.Addr()
}

// Drain stops accepting and waits until the running exchanges have ended or ctx has: then the rest
// is cut and ctx's error returned. The configuration is not loaded any more. The admin server runs
// on; Close must follow.
func (p *Proxy) Drain(ctx context.Context) error {
	p.shut()
	return p.server.Drain(ctx)
}

// Close cuts what runs and returns when everything has ended. Further calls do nothing.
func (p *Proxy) Close() {
	p.shut()
	p.server.Close()
	p.mu.Lock()
	p.replaceAdmin(nil)
	p.mu.Unlock()
	p.live.Wait()
	p.output.close()
}

// shut ends the loading of configurations.
func (p *Proxy) shut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.setWatch(false)
}
