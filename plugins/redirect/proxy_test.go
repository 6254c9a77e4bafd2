package redirect_test

import (
	"net/http"
	"os"
	"strings"
	"testing"

	_ "github.com/sluiceproxy/sluice/plugins/respond"
	"github.com/sluiceproxy/sluice/sdk/proxytest"
)

func TestTheExampleSendsOldPathsToTheirNewOnes(t *testing.T) {
	text, err := os.ReadFile("example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p := proxytest.Start(t, strings.Replace(string(text), "127.0.0.1:8080", "127.0.0.1:0", 1))
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for _, c := range []struct {
		target   string
		status   int
		location string
	}{
		{"/blog/hello", 308, "/articles/hello"},
		{"/blog/a%0d%0aSet-Cookie:%20x", 308, "/articles/a%0D%0ASet-Cookie:%20x"},
		{"/a?b", 301, "https://www.example.com/a?b"},
	} {
		resp, err := client.Get(p.URL("web") + c.target)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get("Location"); resp.StatusCode != c.status || got != c.location {
			t.Errorf("%s: %d to %q, due %d to %q", c.target, resp.StatusCode, got, c.status, c.location)
		}
		if cookies := resp.Cookies(); len(cookies) > 0 {
			t.Errorf("%s: the response sets cookies: %v", c.target, cookies)
		}
	}
}
