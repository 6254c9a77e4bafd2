package cors_test

import (
	"net/http"
	"os"
	"strings"
	"testing"

	_ "github.com/sluiceproxy/sluice/plugins/respond"
	"github.com/sluiceproxy/sluice/sdk/proxytest"
)

func TestTheExampleLetsItsPagesIn(t *testing.T) {
	text, err := os.ReadFile("example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p := proxytest.Start(t, strings.Replace(string(text), "127.0.0.1:8080", "127.0.0.1:0", 1))
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, c := range []struct {
		method, origin string
		status         int
		allowed        bool
	}{
		{"GET", "https://app.example.com", 200, true},
		{"GET", "https://pr-7.preview.example.com", 200, true},
		{"GET", "https://evil.test", 200, false},
		{"OPTIONS", "https://app.example.com", 204, true},
		{"OPTIONS", "https://evil.test", 204, false},
	} {
		req, err := http.NewRequest(c.method, p.URL("api"), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", c.origin)
		if c.method == "OPTIONS" {
			req.Header.Set("Access-Control-Request-Method", "PUT")
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		due := ""
		if c.allowed {
			due = c.origin
		}
		if got := resp.Header.Get("Access-Control-Allow-Origin"); resp.StatusCode != c.status || got != due {
			t.Errorf("%s from %s: %d, allowed origin %q; due %d, %q", c.method, c.origin, resp.StatusCode, got, c.status, due)
		}
	}
}

func TestThePageCanReadTheProxysOwnErrors(t *testing.T) {
	p := proxytest.Start(t, `
listeners: {web: "127.0.0.1:0"}
routes:
  - {name: all, filters: [{cors: "https://app.example.com"}], to: app}
upstreams: {app: {endpoints: "127.0.0.1:1"}}`)
	req, err := http.NewRequest("GET", p.URL("web"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", "https://app.example.com")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if got := resp.Header.Get("Access-Control-Allow-Origin"); resp.StatusCode != 502 || got != "https://app.example.com" {
		t.Errorf("status %d, allowed origin %q; due 502 and https://app.example.com", resp.StatusCode, got)
	}
}
