package config

import (
	"context"
	"os"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/admin"
	"github.com/sluiceproxy/sluice/core/server"
)

// candidate is a configuration for which all that can fail has been done, and nothing that shows.
type candidate struct {
	p          *Proxy
	generation *Generation
	prepared   *server.Prepared
	admin      *adminServer // the running one when its section is the same; nil for none
	log        *os.File     // nil for the standard error
}

// adminServer is a running admin server and the section of the configuration it was started for.
type adminServer struct {
	*admin.Server
	config admin.Config
}

// candidate builds f and opens what it needs. On an error all of that is closed again.
func (p *Proxy) candidate(f *File) (*candidate, error) {
	c := &candidate{p: p}
	if err := c.open(f); err != nil {
		c.abort()
		return nil, err
	}
	return c, nil
}

func (c *candidate) open(f *File) (err error) {
	p := c.p
	if c.generation, err = build(f, p.Current(), &p.state, p.metrics, p.log); err != nil {
		return err
	}
	c.prepared, err = p.server.Prepare(&server.Config{
		Listeners: c.generation.listeners, Runtime: c.generation, Dir: f.dir, Released: p.releaser(c.generation),
	})
	if err != nil {
		return err
	}
	if c.admin, err = p.adminFor(f.Admin); err != nil {
		return err
	}
	c.log, err = p.openLog(f)
	return err
}

// releaser closes the generation elsewhere: it is called by whoever ended the last exchange, or
// with the server locked.
func (p *Proxy) releaser(g *Generation) func() {
	return func() {
		go func() {
			defer p.live.Done()
			g.Close()
		}()
	}
}

func (p *Proxy) openLog(f *File) (*os.File, error) {
	if p.options.Log != nil {
		return nil, nil
	}
	return openLog(&f.Log, f.dir)
}

// adminFor returns the running admin server if it is as c says, else a new one.
func (p *Proxy) adminFor(c *admin.Config) (*adminServer, error) {
	if c == nil {
		return nil, nil
	}
	if p.admin != nil && p.admin.config == *c {
		return p.admin, nil
	}
	s, err := admin.Start(c, admin.Source{
		Metrics:   p.metrics,
		Upstreams: p.upstreams,
		Routes:    p.routes,
		Reload:    p.Reload,
		Draining:  p.server.Draining,
		Listen:    p.server.Listen,
	}, p.log)
	if err != nil {
		return nil, err
	}
	return &adminServer{s, *c}, nil
}

// upstreams and routes may be asked for before the first commit.
func (p *Proxy) upstreams() []core.Upstream {
	if g := p.Current(); g != nil {
		return g.Upstreams()
	}
	return nil
}

func (p *Proxy) routes() []admin.Route {
	if g := p.Current(); g != nil {
		return g.adminRoutes()
	}
	return nil
}

func (c *candidate) abort() {
	if c.admin != nil && c.admin != c.p.admin {
		c.p.endAdmin(c.admin)
	}
	if c.prepared != nil {
		c.prepared.Abort()
	}
	if c.generation != nil {
		c.generation.Close()
	}
}

// commit serves the candidate.
func (c *candidate) commit() {
	p, f := c.p, c.generation.file
	p.live.Add(1) // until the generation was released
	p.current.Store(c.generation)
	c.prepared.Commit()
	p.replaceAdmin(c.admin)
	if p.options.Log == nil {
		p.output.use(&f.Log, c.log)
	}
	p.setWatch(f.Watch && !p.options.NoWatch)
	for _, w := range f.Warnings {
		p.log.Warn("configuration: " + w.Error())
	}
}

func (p *Proxy) replaceAdmin(next *adminServer) {
	if p.admin != nil && p.admin != next {
		p.endAdmin(p.admin)
	}
	p.admin = next
}

// adminGrace is how long requests to an admin server that ends may take: a metrics scrape.
const adminGrace = 5 * time.Second

// endAdmin does not wait: the reload that led here may be a request to the server itself.
func (p *Proxy) endAdmin(s *adminServer) {
	p.live.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), adminGrace)
		defer cancel()
		s.Close(ctx)
	})
}
