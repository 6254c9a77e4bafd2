package main

import (
	"fmt"
	"io"
	"regexp"
	"text/tabwriter"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/config"
	"github.com/sluiceproxy/sluice/core/route"
)

// explanation writes what would become of an exchange, in the order in which it happens.
type explanation struct {
	out      io.Writer
	file     *config.File
	listener string
	x        *core.Exchange
}

func (e explanation) print() error {
	t, err := tableOf(e.file, e.listener)
	if err != nil {
		return err
	}
	cfg := e.file.Listeners[e.listener]
	fmt.Fprintf(e.out, "listener %s, %s\n", e.listener, cfg.Address)
	if err := e.filters(cfg.Filters); err != nil {
		return err
	}
	taken, err := e.verdicts(t)
	if err != nil {
		return err
	}
	if taken == nil {
		code := core.CodeNoRoute
		_, err := fmt.Fprintf(e.out, "\nno route: %d %s, unless a filter of the listener answers or routes\n", code.Status(), code)
		return err
	}
	return e.route(taken)
}

// verdicts writes why each route does or does not take the exchange, and returns the one that does.
func (e explanation) verdicts(t *route.Table) (*route.Config, error) {
	fmt.Fprintln(e.out, "\nroutes, in the order tried")
	w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	var taken *route.Config
	for _, v := range t.Explain(e.x) {
		if v.Matched {
			e.x.Route, taken = v.Route, routeNamed(e.file, v.Route.Name)
			v.Reason = "takes it"
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\n", v.Route.Name, v.Pattern, v.Reason)
	}
	if taken != nil {
		t.Match(e.x) // which notes the captures that conditions may ask for
	}
	return taken, w.Flush()
}

func (e explanation) route(cfg *route.Config) error {
	fmt.Fprintf(e.out, "\nroute %s\n", cfg.Name)
	for _, c := range e.x.Captures {
		fmt.Fprintf(e.out, "  capture $path_%s = %q\n", c.Name, c.Value)
	}
	if err := e.filters(cfg.Filters); err != nil {
		return err
	}
	if cfg.Rewrite != nil {
		cfg.Rewrite.Apply(e.x)
		fmt.Fprintf(e.out, "  the target becomes %s\n", e.x.Request.AppendTarget(nil))
	}
	if cfg.To == nil {
		_, err := fmt.Fprintln(e.out, "  no upstream: a filter answers")
		return err
	}
	fmt.Fprintf(e.out, "  to %s\n", target(cfg))
	for _, name := range cfg.To.Upstreams() {
		if err := e.upstream(name); err != nil {
			return err
		}
	}
	return nil
}

func (e explanation) upstream(name string) error {
	cfg := e.file.Upstreams[name]
	fmt.Fprintf(e.out, "\nupstream %s\n", name)
	if err := e.filters(cfg.Filters); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "  endpoints, balance %s\n", cfg.Balance.Policy)
	for _, endpoint := range cfg.Endpoints {
		fmt.Fprintf(e.out, "    %s, weight %d\n", endpoint.Address, endpoint.Weight)
	}
	return nil
}

func (e explanation) filters(list core.FilterList) error {
	w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	for i, spec := range list {
		name := spec.Name
		if name != spec.Kind.Name {
			name += " (" + spec.Kind.Name + ")"
		}
		fmt.Fprintf(w, "  filter %d\t%s\t%s\n", i+1, name, e.when(spec.When))
	}
	return w.Flush()
}

// unknown finds the variables that have no value before an endpoint has answered.
var unknown = regexp.MustCompile(`\b(status|sent_http_\w+|upstream_\w+|bytes_sent|body_bytes_sent|request_time|` +
	`request_completion|endpoint|attempts|error|error_\w+)\b`)

func (e explanation) when(c *core.Condition) string {
	if c == nil {
		return "runs"
	}
	if name := unknown.FindString(c.String()); name != "" {
		return fmt.Sprintf("depends on %s: when %s", name, c)
	}
	met, err := c.Eval(e.x)
	switch {
	case err != nil:
		return fmt.Sprintf("fails: when %s: %v", c, err)
	case met:
		return fmt.Sprintf("runs: when %s", c)
	}
	return fmt.Sprintf("does not run: not when %s", c)
}
