package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/admin"
	"github.com/sluiceproxy/sluice/core/metrics"
)

type endpoint struct {
	address  string
	state    string
	weight   int
	inFlight int
}

func (e endpoint) Address() string { return e.address }
func (e endpoint) Weight() int     { return e.weight }
func (e endpoint) Available() bool { return e.state == "up" }
func (e endpoint) State() string   { return e.state }
func (e endpoint) InFlight() int   { return e.inFlight }

type upstream struct {
	name      string
	endpoints []core.Endpoint
}

func (u upstream) Handle(*core.Exchange) error { return nil }
func (u upstream) Name() string                { return u.name }
func (u upstream) Endpoints() []core.Endpoint  { return u.endpoints }

// proxy is a running proxy as the admin server sees it.
type proxy struct {
	registry *metrics.Registry
	draining atomic.Bool
	reloads  atomic.Int32
	invalid  error
}

func start(t *testing.T) (*proxy, string) {
	t.Helper()
	p := &proxy{registry: metrics.New()}
	s, err := admin.Start(&admin.Config{Address: "127.0.0.1:0"}, admin.Source{
		Metrics: p.registry,
		Upstreams: func() []core.Upstream {
			return []core.Upstream{upstream{"shop", []core.Endpoint{
				endpoint{"10.0.0.1:80", "up", 3, 7}, endpoint{"10.0.0.2:80", "ejected", 1, 0},
			}}}
		},
		Routes: func() []admin.Route {
			return []admin.Route{{Listener: "web", Name: "cart", Match: "path /cart", To: "shop"}}
		},
		Reload:   func() error { p.reloads.Add(1); return p.invalid },
		Draining: p.draining.Load,
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	return p, "http://" + s.Addr().String()
}

var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// ask sends a request with the fields, in turn names and values; Host is one of them.
func ask(t *testing.T, method, url string, fields ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(fields); i += 2 {
		if fields[i] == "Host" {
			req.Host = fields[i+1]
			continue
		}
		req.Header.Set(fields[i], fields[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: body: %v", method, url, err)
	}
	return resp.StatusCode, string(body)
}

func TestReadinessEndsWhenTheProxyDrains(t *testing.T) {
	p, url := start(t)
	if status, body := ask(t, "GET", url+"/ready"); status != 200 {
		t.Errorf("/ready: %d %q, due 200", status, body)
	}
	p.draining.Store(true)
	if status, body := ask(t, "GET", url+"/ready"); status != 503 {
		t.Errorf("/ready while draining: %d %q, due 503", status, body)
	}
	if status, body := ask(t, "GET", url+"/healthz"); status != 200 {
		t.Errorf("/healthz while draining: %d %q, due 200", status, body)
	}
}

func TestMetricsHoldCountersAndTheStateOfEndpoints(t *testing.T) {
	p, url := start(t)
	p.registry.Listener("web").Accepted()
	status, body := ask(t, "GET", url+"/metrics")
	if status != 200 {
		t.Fatalf("/metrics: %d %q", status, body)
	}
	for _, line := range []string{
		`sluice_connections_open{listener="web"} 1`,
		`sluice_endpoint_available{upstream="shop",endpoint="10.0.0.1:80"} 1`,
		`sluice_endpoint_available{upstream="shop",endpoint="10.0.0.2:80"} 0`,
		`sluice_endpoint_in_flight{upstream="shop",endpoint="10.0.0.1:80"} 7`,
	} {
		if !strings.Contains(body, "\n"+line+"\n") {
			t.Errorf("/metrics has no line\n  %s\nin\n%s", line, body)
		}
	}
}

func TestUpstreamsShowEveryEndpoint(t *testing.T) {
	_, url := start(t)
	_, body := ask(t, "GET", url+"/upstreams")
	var got []admin.UpstreamState
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("/upstreams is not JSON: %v\n%s", err, body)
	}
	if len(got) != 1 || got[0].Name != "shop" || len(got[0].Endpoints) != 2 {
		t.Fatalf("/upstreams = %+v, due shop with two endpoints", got)
	}
	due := admin.EndpointState{Address: "10.0.0.1:80", State: "up", Available: true, Weight: 3, InFlight: 7}
	if got[0].Endpoints[0] != due {
		t.Errorf("first endpoint %+v, due %+v", got[0].Endpoints[0], due)
	}
}

func TestRoutesShowWhatWasCountedOnThem(t *testing.T) {
	p, url := start(t)
	x := core.NewExchange(nil, nil)
	x.Route = &core.Route{Name: "cart"}
	x.Ended = core.Now()
	x.Start = x.Ended.Add(-100 * time.Millisecond)
	p.registry.Route("web", "cart").Done(x)
	_, body := ask(t, "GET", url+"/routes")
	var got []admin.RouteState
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("/routes is not JSON: %v\n%s", err, body)
	}
	if len(got) != 1 || got[0].Name != "cart" || got[0].To != "shop" || got[0].Exchanges != 1 || got[0].P50 < 0.08 {
		t.Errorf("/routes = %+v, due cart to shop with one exchange of 100ms", got)
	}
}

func TestReloadTellsWhyItWasRefused(t *testing.T) {
	p, url := start(t)
	if status, body := ask(t, "POST", url+"/config/reload"); status != 200 || p.reloads.Load() != 1 {
		t.Errorf("POST /config/reload: %d %q after %d reloads, due 200 after one", status, body, p.reloads.Load())
	}
	p.invalid = errors.New("sluice.yaml:3:5: unknown key")
	if status, body := ask(t, "POST", url+"/config/reload"); status != 422 || !strings.Contains(body, "sluice.yaml:3:5") {
		t.Errorf("POST /config/reload of a wrong file: %d %q, due 422 with its position", status, body)
	}
	if status, body := ask(t, "GET", url+"/config/reload"); status != 405 || p.reloads.Load() != 2 {
		t.Errorf("GET /config/reload: %d %q, due 405 and no reload", status, body)
	}
}

func TestWebPagesCannotReachALoopbackServer(t *testing.T) {
	p, url := start(t)
	port := url[strings.LastIndexByte(url, ':'):]
	for name, c := range map[string]struct {
		method string
		fields []string
		due    int
	}{
		"the address itself":            {"POST", nil, 200},
		"localhost":                     {"POST", []string{"Host", "localhost" + port}, 200},
		"IPv6 loopback":                 {"POST", []string{"Host", "[::1]" + port}, 200},
		"a rebound name":                {"POST", []string{"Host", "evil.example" + port}, 403},
		"a rebound name, reading":       {"GET", []string{"Host", "evil.example"}, 403},
		"a name that begins as one":     {"POST", []string{"Host", "127.0.0.1.evil.example"}, 403},
		"a page of another site":        {"POST", []string{"Origin", "https://evil.example"}, 403},
		"a page without an origin":      {"POST", []string{"Origin", "null"}, 403},
		"another site by fetch":         {"POST", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		"a page of another local port":  {"POST", []string{"Origin", "http://127.0.0.1:1"}, 403},
		"a page of the server's itself": {"POST", []string{"Origin", url}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			path := "/config/reload"
			if c.method == "GET" {
				path = "/routes"
			}
			before := p.reloads.Load()
			status, body := ask(t, c.method, url+path, c.fields...)
			if status != c.due {
				t.Errorf("%s %s with %q: %d %q, due %d", c.method, path, c.fields, status, body, c.due)
			}
			if c.due != 200 && p.reloads.Load() != before {
				t.Errorf("refused, but the configuration was loaded anew")
			}
		})
	}
}

func TestATakenAddressIsAnError(t *testing.T) {
	_, url := start(t)
	address := strings.TrimPrefix(url, "http://")
	s, err := admin.Start(&admin.Config{Address: address}, admin.Source{}, slog.New(slog.DiscardHandler))
	if err == nil {
		s.Close(t.Context())
		t.Fatal("started on a taken port, due an error")
	}
	if !strings.Contains(err.Error(), "admin: ") || !strings.Contains(err.Error(), address) {
		t.Errorf("came %q, due one with admin and %s", err, address)
	}
}

func TestASocketThatIsThereAlreadyIsServed(t *testing.T) {
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var asked string
	s, err := admin.Start(&admin.Config{Address: "127.0.0.1:9990"}, admin.Source{
		Listen: func(_, address string) (net.Listener, error) { asked = address; return socket, nil },
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	if asked != "127.0.0.1:9990" || s.Addr() != socket.Addr() {
		t.Errorf("asked for %q and listens on %v, due 127.0.0.1:9990 and %v", asked, s.Addr(), socket.Addr())
	}
	if status, body := ask(t, "GET", "http://"+socket.Addr().String()+"/healthz"); status != 200 {
		t.Errorf("/healthz: %d %q, due 200", status, body)
	}
}

func TestAddressesNeedHostAndPort(t *testing.T) {
	for text, valid := range map[string]bool{"127.0.0.1:9990": true, ":9990": true, "9990": false, "": false} {
		var c admin.Config
		if err := c.UnmarshalText([]byte(text)); (err == nil) != valid {
			t.Errorf("admin: %q: %v, due valid %v", text, err, valid)
		}
	}
}
