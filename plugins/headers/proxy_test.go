package headers_test

import (
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	_ "github.com/sluiceproxy/sluice/plugins/respond"
	"github.com/sluiceproxy/sluice/sdk/proxytest"
)

var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func TestTheExampleHidesWhatTheClientClaims(t *testing.T) {
	text, err := os.ReadFile("example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p := proxytest.Start(t, strings.Replace(string(text), "127.0.0.1:8080", "127.0.0.1:0", 1))
	req, err := http.NewRequest("GET", p.URL("web"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Internal-User", "root")
	req.Header.Set("X-Route", "mine")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if due := "route shop, internal \n"; string(body) != due {
		t.Errorf("body is %q, due %q", body, due)
	}
	if got, due := resp.Header["Set-Cookie"], []string{"seen=1; Path=/", "lang=en; Path=/"}; !slices.Equal(got, due) {
		t.Errorf("Set-Cookie is %q, due %q", got, due)
	}
	if got := resp.Header.Get("Referrer-Policy"); got != "same-origin" {
		t.Errorf("Referrer-Policy is %q, due same-origin", got)
	}
}

func TestTheEndpointSeesTheHostAndFieldsThatWereSet(t *testing.T) {
	origin := proxytest.Origin(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", "origin")
		io.WriteString(w, r.Host+" "+strings.Join(r.Header["X-Tag"], ","))
	}))
	p := proxytest.Start(t, `
listeners: {web: "127.0.0.1:0"}
routes:
  - name: all
    filters:
      - headers:
          request: {set: {Host: inner.test}, add: {X-Tag: ["1", "$request_method"]}}
          response: {remove: server}
    to: app
upstreams: {app: {endpoints: "`+origin+`"}}`)
	resp, err := client.Get(p.URL("web"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if due := "inner.test 1,GET"; string(body) != due || resp.Header.Get("Server") != "" {
		t.Errorf("the endpoint saw %q, due %q; the response has Server %q, due none", body, due, resp.Header.Get("Server"))
	}
}
