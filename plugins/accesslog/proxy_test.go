package accesslog_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	_ "github.com/sluiceproxy/sluice/plugins/respond"
	"github.com/sluiceproxy/sluice/sdk/proxytest"
)

var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func get(t *testing.T, url string) {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

func TestTheExampleLogsAllInOneFileAndFailuresInAnother(t *testing.T) {
	text, err := os.ReadFile("example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	all, slow := filepath.Join(dir, "access.log"), filepath.Join(dir, "slow.log")
	p := proxytest.Start(t, strings.NewReplacer("127.0.0.1:8080", "127.0.0.1:0", "access.log", all, "path: slow.log", "path: "+slow,
		"status >= 500", "status >= 404").Replace(string(text)))
	get(t, p.URL("web")+"/hello?a=%22")
	get(t, p.URL("web")+"/none")
	p.Close()

	got := read(t, all)
	for _, line := range []string{ // of two connections, in the order in which they ended
		`127\.0\.0\.1 - - \[[^]]+\] "GET /hello\?a=%22 HTTP/1\.1" 200 6 "-" "Go-http-client/1\.1"`,
		`127\.0\.0\.1 - - \[[^]]+\] "GET /none HTTP/1\.1" 404 \d+ "-" "Go-http-client/1\.1"`,
	} {
		if !regexp.MustCompile("(?m)^"+line+"$").MatchString(got) || strings.Count(got, "\n") != 2 {
			t.Errorf("the log is\n%s\ndue are two lines, one that matches\n%s", got, line)
		}
	}
	var entry map[string]any
	if err := json.Unmarshal([]byte(read(t, slow)), &entry); err != nil {
		t.Fatalf("%s: %v", read(t, slow), err)
	}
	if entry["status"] != 404.0 || entry["error"] != "no_route" || entry["uri"] != "/none" {
		t.Errorf("the log of failures is %v, due the 404 no_route of /none", entry)
	}
}

func TestNoLineIsLostOverReloads(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	config := func(n int) string {
		return fmt.Sprintf(`
listeners: {web: {address: "127.0.0.1:0", filters: [{access_log: {path: %q, format: "%d $uri", flush: 1h}}]}}
routes: [{name: all, filters: [{respond: 204}]}]`, name, n)
	}
	p := proxytest.Start(t, config(0))
	var due strings.Builder
	for n := range 5 {
		if n > 0 {
			if err := p.Reload(config(n)); err != nil {
				t.Fatal(err)
			}
		}
		get(t, fmt.Sprintf("%s/%d", p.URL("web"), n))
		fmt.Fprintf(&due, "%d /%d\n", n, n)
	}
	p.Close()
	lines := strings.SplitAfter(read(t, name), "\n")
	for _, line := range strings.SplitAfter(due.String(), "\n") {
		if n := strings.Count(strings.Join(lines, ""), line); line != "" && n != 1 {
			t.Errorf("line %q came %d times, due once, in %q", line, n, lines)
		}
	}
}

func TestRequestsThatAreRefusedHaveTheirLineToo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "access.log")
	p := proxytest.Start(t, fmt.Sprintf(`
listeners:
  web:
    address: "127.0.0.1:0"
    filters:
      - access_log: {path: %q, format: '$remote_addr "$request" $status $error', flush: 10ms}
routes: [{name: all}]
`, file))
	for send, line := range map[string]string{
		"GET / HTTP/1.1\r\n\r\n":              `127.0.0.1 "GET / HTTP/1.1" 400 bad_request` + "\n",
		"GARBAGE\r\n\r\n":                     ` 400 bad_request` + "\n",
		"GET /" + strings.Repeat("a", 40<<10): ` 414 target_too_long` + "\n",
	} {
		c, err := net.Dial("tcp", p.Addr("web"))
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, send)
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		io.Copy(io.Discard, c)
		c.Close()
		await(t, "the line of a refused request: "+line, func() bool { return strings.Contains(read(t, file), line) })
	}
}
