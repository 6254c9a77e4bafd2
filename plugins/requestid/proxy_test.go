package requestid_test

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	_ "github.com/sluiceproxy/sluice/plugins/respond"
	"github.com/sluiceproxy/sluice/sdk/proxytest"
)

func TestTheExampleKeepsTheIDOfTheLoadBalancer(t *testing.T) {
	text, err := os.ReadFile("example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p := proxytest.Start(t, strings.Replace(string(text), "127.0.0.1:8080", "127.0.0.1:0", 1))
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, sent := range []string{"lb-1", "", "two words"} {
		req, err := http.NewRequest("GET", p.URL("web"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if sent != "" {
			req.Header.Set("X-Request-ID", sent)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		id := resp.Header.Get("X-Request-ID")
		if string(body) != id+"\n" || sent == "lb-1" && id != sent || sent != "lb-1" && !made.MatchString(id) {
			t.Errorf("sent %q: the response has the id %q, the filters below saw %q", sent, id, body)
		}
	}
}
