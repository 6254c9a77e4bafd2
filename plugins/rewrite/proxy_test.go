package rewrite_test

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/sdk/proxytest"
)

func TestTheExampleRoutesAShortLinkByWhatItStandsFor(t *testing.T) {
	text, err := os.ReadFile("example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	origin := proxytest.Origin(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.RequestURI)
	}))
	p := proxytest.Start(t, strings.NewReplacer("127.0.0.1:8080", "127.0.0.1:0", "127.0.0.1:9000", origin).Replace(string(text)))
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for target, due := range map[string]string{
		"/api/v1/items?utm_source=x&id=7&fbclid=y": "/v1/items?id=7",
		"/u/7":      "/v1/users/7?via=short",
		"/u/7?a=%2": "/v1/users/7?a=%2&via=short",
	} {
		resp, err := client.Get(p.URL("web") + target)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if string(body) != due {
			t.Errorf("%s: status %d, the endpoint was asked for %s, due %s", target, resp.StatusCode, body, due)
		}
	}
}

func TestAReroutedRequestThatNeverSettlesIsALoop(t *testing.T) {
	p := proxytest.Start(t, `
listeners: {web: "127.0.0.1:0"}
routes:
  - {name: all, filters: [{rewrite: {prefix: /a, reroute: true}}]}`)
	resp, err := http.Get(p.URL("web"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if got := resp.Header.Get("X-Sluice-Error"); resp.StatusCode != 508 || got != "redirect_loop" {
		t.Errorf("status %d, error %q; due 508, redirect_loop", resp.StatusCode, got)
	}
}
