package main

import (
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/config"
)

// question is the request that explain is asked about.
type question struct {
	listener string
	method   string
	url      string
	fields   []string
	client   string
	body     string
}

func explainCommand() *cobra.Command {
	var q question
	cmd := &cobra.Command{
		Use:   "explain FILE METHOD URL",
		Short: "Tell what would become of a request, offline",
		Long: `Tell what would become of a request: why each route does or does not take it, which filters
run in which order, and which endpoints it may go to. Nothing listens and nothing is sent.
Filters are not run, so what they would change or decide is not seen.`,
		Example: `  sluice explain sluice.yaml GET http://shop.example.com/cart?id=7
  sluice explain sluice.yaml POST /api -H 'Host: api.example.com' -H 'X-Beta: 1' --client 10.0.0.7`,
		Args: cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := config.Load(args[0])
			if err != nil {
				return err
			}
			q.method, q.url = args[1], args[2]
			listener, x, err := q.exchange(f)
			if err != nil {
				return err
			}
			return explanation{out: cmd.OutOrStdout(), file: f, listener: listener, x: x}.print()
		},
	}
	f := cmd.Flags()
	f.StringVar(&q.listener, "listener", "", "listener that gets the request (default the one with the URL's port)")
	f.StringArrayVarP(&q.fields, "header", "H", nil, "header field, 'Name: value', may be repeated")
	f.StringVar(&q.client, "client", "127.0.0.1", "address of the client")
	f.StringVar(&q.body, "body", "", "body of the request")
	return cmd
}

// exchange returns the listener that gets the request, and the exchange as it has read it.
func (q *question) exchange(f *config.File) (string, *core.Exchange, error) {
	u, err := q.parseURL()
	if err != nil {
		return "", nil, err
	}
	ip, err := netip.ParseAddr(q.client)
	if err != nil {
		return "", nil, fmt.Errorf("--client %s: not an address", q.client)
	}
	listener, err := q.listenerFor(f, u)
	if err != nil {
		return "", nil, err
	}
	x := core.NewExchange(nil, slog.New(slog.DiscardHandler))
	x.Listener, x.Start = listener, core.Now()
	x.Client = core.Client{Addr: ip.String(), IP: ip, Peer: netip.AddrPortFrom(ip, 0)}
	r := &x.Request
	r.Method, r.Scheme, r.Authority, r.Proto = q.method, u.Scheme, u.Host, core.HTTP11
	r.SetReceived(u.RequestURI(), u.RequestURI())
	if q.body != "" {
		r.Body.SetString(q.body)
		r.Header.Add("Content-Length", strconv.Itoa(len(q.body)))
	}
	for _, field := range q.fields {
		name, value, ok := strings.Cut(field, ":")
		if !ok {
			return "", nil, fmt.Errorf("-H %q: write 'Name: value'", field)
		}
		value = strings.TrimSpace(value)
		if core.EqualFold(name, "Host") {
			r.Authority = value
			continue
		}
		r.Header.Add(name, value)
	}
	return listener, x, nil
}

// parseURL takes a whole URL, one without its scheme, or a path alone.
func (q *question) parseURL() (*url.URL, error) {
	text := q.url
	switch {
	case strings.HasPrefix(text, "/"):
		text = "http://localhost" + text
	case !strings.Contains(text, "://"):
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("URL %q: write one such as http://example.com/path, or a path", q.url)
	}
	return u, nil
}

// listenerFor finds the listener by name, by the URL's port, or because there is no other.
func (q *question) listenerFor(f *config.File, u *url.URL) (string, error) {
	names := slices.Sorted(maps.Keys(f.Listeners))
	if q.listener != "" {
		if f.Listeners[q.listener] == nil {
			return "", fmt.Errorf("--listener %s: there are %s", q.listener, strings.Join(names, ", "))
		}
		return q.listener, nil
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	for _, name := range names {
		if _, p, err := net.SplitHostPort(f.Listeners[name].Address); err == nil && p == port {
			return name, nil
		}
	}
	if len(names) == 1 {
		return names[0], nil
	}
	return "", fmt.Errorf("no listener has port %s: choose by --listener one of %s", port, strings.Join(names, ", "))
}
