package quickstart_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/core/config"
	_ "github.com/sluiceproxy/sluice/plugins/standard"
	"github.com/sluiceproxy/sluice/sdk/proxytest"
)

func TestTheFilesAreValid(t *testing.T) {
	f, err := config.Load("sluice.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range f.Warnings {
		t.Errorf("warning: %v", w)
	}
}

// read returns a file with each old text, which must be there, replaced.
func read(t *testing.T, name string, oldnew ...string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	out := string(text)
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(out, oldnew[i]) {
			t.Fatalf("%s does not hold %q any more", name, oldnew[i])
		}
		out = strings.ReplaceAll(out, oldnew[i], oldnew[i+1])
	}
	return out
}

// start runs the quickstart on free addresses. Its endpoint that fails by chance fails when the
// query is "fail".
func start(t *testing.T) *proxytest.Proxy {
	t.Helper()
	dir, err := os.MkdirTemp("", "quickstart") // t.TempDir is too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := func(name string) string { return "unix:" + filepath.Join(dir, name) }
	shopA, shopB, blog := socket("shop-a"), socket("shop-b"), socket("blog")

	origins := filepath.Join(dir, "origins.yaml")
	text := read(t, "origins.yaml", "127.0.0.1:9001", shopA, "127.0.0.1:9002", shopB, "127.0.0.1:9003", blog,
		`request_id matches "^[0-3]"`, `args == "fail"`)
	if err := os.WriteFile(origins, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return proxytest.Start(t, read(t, "sluice.yaml", "127.0.0.1:9001", shopA, "127.0.0.1:9002", shopB,
		"127.0.0.1:9003", blog, "127.0.0.1:8080", "127.0.0.1:0", "127.0.0.1:9990", "127.0.0.1:0",
		"include: origins.yaml", "include: "+origins))
}

var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func get(t *testing.T, url, host string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("GET %s: body: %v", url, err)
	}
	return resp, string(body)
}

func TestRequestsAreRoutedByHostAndPath(t *testing.T) {
	url := start(t).URL("web")
	for _, c := range []struct {
		host, target, body string
		status             int
	}{
		{"localhost:8080", "/blog/first?a=b", "the blog answers /first?a=b\n", 200},
		{"localhost:8080", "/", "Try http://shop.localhost:8080/cart and http://localhost:8080/blog/first\n", 200},
		{"localhost:8080", "/nothing", "404 Not Found (no_route)\n", 404},
	} {
		if resp, body := get(t, url+c.target, c.host); resp.StatusCode != c.status || body != c.body {
			t.Errorf("GET %s of %s: %d %q, due %d %q", c.target, c.host, resp.StatusCode, body, c.status, c.body)
		}
	}
}

func TestTheShopIsBalancedOverBothEndpoints(t *testing.T) {
	url := start(t).URL("web")
	seen := map[string]int{}
	for range 10 {
		resp, body := get(t, url+"/cart", "shop.localhost:8080")
		if resp.StatusCode != 200 || resp.Header.Get("X-Request-ID") == "" {
			t.Fatalf("GET /cart: %d %q with X-Request-ID %q, due 200 and an id", resp.StatusCode, body, resp.Header.Get("X-Request-ID"))
		}
		seen[body]++
	}
	if seen["shop-a answers /cart\n"] != 5 || seen["shop-b answers /cart\n"] != 5 {
		t.Errorf("of ten answers came %v, due five of each", seen)
	}
}

func TestClientsDoNotSeeAnEndpointFail(t *testing.T) {
	p := start(t)
	for range 10 {
		if resp, body := get(t, p.URL("web")+"/cart?fail", "shop.localhost:8080"); resp.StatusCode != 200 ||
			body != "shop-a answers /cart?fail\n" {
			t.Fatalf("GET /cart while shop-b fails: %d %q, due 200 of shop-a", resp.StatusCode, body)
		}
	}
	if err := p.Drain(t.Context()); err != nil { // an exchange is counted after its answer was sent
		t.Fatal(err)
	}
	var metrics strings.Builder
	if err := p.Metrics().WritePrometheus(&metrics); err != nil {
		t.Fatal(err)
	}
	// Round robin gives shop-b every other one of ten.
	if line := `sluice_retries_total{listener="web",route="shop"} 5` + "\n"; !strings.Contains(metrics.String(), line) {
		t.Errorf("the metrics do not hold %q:\n%s", line, metrics.String())
	}
}
