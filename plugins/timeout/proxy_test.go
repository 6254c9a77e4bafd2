package timeout_test

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	_ "github.com/sluiceproxy/sluice/plugins/retry"
	"github.com/sluiceproxy/sluice/sdk/proxytest"
)

// hanging starts an origin that does not answer before the proxy gives up.
func hanging(t *testing.T) string {
	return proxytest.Origin(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(10 * time.Second):
		}
	}))
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, resp.Header.Get("X-Sluice-Error")
}

func TestThroughAProxyWhatHangsIsGivenUp(t *testing.T) {
	for filter, code := range map[string]string{
		"timeout: 100ms":                       "total_timeout",
		"timeout: {try: 100ms}":                "try_timeout",
		"timeout: {total: 100ms, try: 5s}":     "total_timeout",
		"timeout: {total: 5s, try: 100ms}":     "try_timeout",
		"timeout: 5s}, {timeout: {try: 100ms}": "try_timeout",
	} {
		p := proxytest.Start(t, `
listeners: {web: "127.0.0.1:0"}
routes: [{name: all, filters: [{`+filter+`}], to: slow}]
upstreams: {slow: {endpoints: ["`+hanging(t)+`"]}}
`)
		start := time.Now()
		status, got := get(t, p.URL("web")+"/")
		if took := time.Since(start); status != 504 || got != code || took < 100*time.Millisecond || took > 4*time.Second {
			t.Errorf("%s: got %d %s after %s, want 504 %s after 100ms", filter, status, got, took, code)
		}
	}
}

func TestThroughAProxyTheExampleRuns(t *testing.T) {
	example, err := os.ReadFile("example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	good := proxytest.Origin(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "good") }))
	p := proxytest.Start(t, strings.NewReplacer("127.0.0.1:8080", "127.0.0.1:0",
		"127.0.0.1:9001", hanging(t), "127.0.0.1:9002", good).Replace(string(example)))
	for range 2 {
		start := time.Now()
		status, code := get(t, p.URL("web")+"/search/x")
		if took := time.Since(start); status != 200 || took > 2*time.Second {
			t.Errorf("got %d %s after %s, want 200 from the endpoint that answers", status, code, took)
		}
	}
}
