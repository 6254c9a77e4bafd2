package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/config"
	"github.com/sluiceproxy/sluice/core/route"
)

func routesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "routes FILE",
		Short: "Print the route table of each listener as compiled",
		Long: `Print the routes of each listener in the order in which they are tried. A route with
several hosts or paths stands once for each.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := config.Load(args[0])
			if err != nil {
				return err
			}
			for _, listener := range slices.Sorted(maps.Keys(f.Listeners)) {
				if err := printRoutes(cmd.OutOrStdout(), f, listener); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func printRoutes(out io.Writer, f *config.File, listener string) error {
	t, err := tableOf(f, listener)
	if err != nil {
		return err
	}
	cfg := f.Listeners[listener]
	fmt.Fprintf(out, "listener %s, %s, order %s\n", listener, cfg.Address, cfg.Order)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "  ROUTE\tHOST\tPATH\tAND\tTO")
	for _, info := range t.Routes() {
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\n", info.Route.Name, cmp.Or(info.Host, "(any host)"), info.Path,
			cmp.Or(strings.Join(info.Criteria, ", "), "-"), target(routeNamed(f, info.Route.Name)))
	}
	return w.Flush()
}

// tableOf compiles the routes of a listener as running it would, but builds no filter and no
// upstream: those open files and connections.
func tableOf(f *config.File, listener string) (*route.Table, error) {
	var entries []route.Entry
	for _, cfg := range f.Routes {
		if len(cfg.Listeners) == 0 || slices.Contains(cfg.Listeners, listener) {
			entries = append(entries, route.Entry{Config: cfg, Route: &core.Route{Name: cfg.Name, Metadata: cfg.Metadata}})
		}
	}
	return route.Compile(entries, route.Order(f.Listeners[listener].Order))
}

func routeNamed(f *config.File, name string) *route.Config {
	i := slices.IndexFunc(f.Routes, func(c *route.Config) bool { return c.Name == name })
	return f.Routes[i]
}

func target(c *route.Config) string {
	switch {
	case c.To == nil:
		return "(a filter answers)"
	case c.To.Upstream != "":
		return c.To.Upstream
	}
	var parts []string
	for _, name := range c.To.Upstreams() {
		parts = append(parts, fmt.Sprintf("%s %d", name, c.To.Split[name]))
	}
	return "split " + strings.Join(parts, ", ")
}
