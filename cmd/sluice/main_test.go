package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// asSluice in the environment makes the test's binary be sluice, for tests of whole processes.
const asSluice = "SLUICE_TEST_AS_SLUICE"

func TestMain(m *testing.M) {
	if os.Getenv(asSluice) != "" {
		main()
	}
	os.Exit(m.Run())
}

// sluice runs a command line and returns its exit code, output and complaints.
func sluice(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = execute(args, &out, &errs)
	return code, out.String(), errs.String()
}

func writeFile(t *testing.T, yaml string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(name, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestMistakesAreLinesWithoutUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		due  string
	}{
		{[]string{"bogus"}, `unknown command "bogus"`},
		{[]string{"run"}, "accepts 1 arg"},
		{[]string{"run", "missing.yaml"}, "missing.yaml: no such file or directory"},
		{[]string{"validate", "missing.yaml"}, "missing.yaml: no such file or directory"},
		{[]string{"origin", "--bogus"}, "unknown flag: --bogus"},
		{[]string{"origin", "--size", "64"}, "has no unit"},
		{[]string{"origin", "--status", "7"}, "origin: status 7"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			code, stdout, stderr := sluice(c.args...)
			if code != 1 || stdout != "" || !strings.HasPrefix(stderr, "sluice: ") ||
				!strings.Contains(stderr, c.due) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("exit code %d, output %q, complaint %q; due 1, nothing, one line with %q", code, stdout, stderr, c.due)
			}
		})
	}
}

func TestValidateTellsEveryErrorWithItsPosition(t *testing.T) {
	file := writeFile(t, `listeners:
  web: { address: "127.0.0.1:0", bogus: 1 }
routes:
  - name: shop
    to: shopp
    filters:
      - bogus
upstreams:
  shop:
    endpoints: [127.0.0.1:1]
    timeout: { try: 300 }
`)
	code, stdout, stderr := sluice("validate", file)
	if code != 1 || stdout != "" {
		t.Errorf("exit code %d and output %q, due 1 and none", code, stdout)
	}
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	if len(lines) < 3 {
		t.Errorf("%d errors, due the unknown key, the unknown filter and the duration:\n%s", len(lines), stderr)
	}
	for i, line := range lines {
		if !strings.HasPrefix(line, "sluice: "+file+":") {
			t.Errorf("error %d has no position: %s", i+1, line)
		}
	}
	for _, due := range []string{":2:34:", ":7:9:", ":11:21:"} {
		if !strings.Contains(stderr, file+due) {
			t.Errorf("no error at %s:\n%s", due, stderr)
		}
	}
}

func TestValidateBuildsTheFiltersToo(t *testing.T) {
	file := writeFile(t, `listeners:
  web:
    address: 127.0.0.1:0
    filters:
      - breaker: { consecutive: 3, by: endpoint }
`)
	code, _, stderr := sluice("validate", file)
	if code != 1 || !strings.Contains(stderr, "the upstream is not chosen yet") {
		t.Errorf("exit code %d and %q, due 1 and that a listener's breaker cannot go by endpoint", code, stderr)
	}
}

const shop = `listeners:
  web: 127.0.0.1:8080
  api:
    address: 127.0.0.1:8081
    filters:
      - request_id
      - headers: { request: { set: { X-Mobile: "1" } }, when: http_user_agent contains "Mobile", name: mobile }
      - headers: { response: { set: { X-Failed: "1" } }, when: status >= 500 }
routes:
  - name: all
    listeners: web
    to: shop
  - name: item
    listeners: api
    match: { host: shop.example.com, path: "/items/{id}", method: [GET, HEAD] }
    filters:
      - respond: { status: 410, when: path_id == "7" }
    rewrite: { prefix: /v2 }
    to: { split: { shop: 90, canary: 10 } }
  - name: beta
    listeners: api
    match: { path: /**, header: { X-Beta: "*" }, client: 10.0.0.0/8 }
    to: canary
upstreams:
  shop:
    endpoints: [10.0.0.1:80, { address: "10.0.0.2:80", weight: 3 }]
    balance: ewma
    filters:
      - retry: { max: 2 }
  canary:
    endpoints: [10.0.0.3:80]
`

func TestValidateCountsWhatIsThere(t *testing.T) {
	code, stdout, stderr := sluice("validate", writeFile(t, shop))
	if code != 0 || stderr != "" || !strings.Contains(stdout, "2 listeners, 3 routes, 2 upstreams") {
		t.Errorf("exit code %d, %q, %q; due 0 and 2 listeners, 3 routes, 2 upstreams", code, stdout, stderr)
	}
}

// normal leaves one blank between words, so that a test does not depend on columns.
func normal(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		out = append(out, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(out, "\n") + "\n"
}

func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+normal(text), "\n"+line+"\n") {
			t.Errorf("no line\n  %s\nin\n%s", line, text)
		}
	}
}

func TestRoutesAreShownByListenerInTheOrderTried(t *testing.T) {
	code, stdout, stderr := sluice("routes", writeFile(t, shop))
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	wantLines(t, stdout,
		"listener api, 127.0.0.1:8081, order specific",
		"item shop.example.com /items/{id} method GET, HEAD split canary 10, shop 90",
		"listener web, 127.0.0.1:8080, order specific",
		"all (any host) (any path) - shop")
	if strings.Index(stdout, "item") > strings.Index(stdout, "beta") {
		t.Errorf("the route beta stands before the more specific item:\n%s", stdout)
	}
}

func TestExplainTellsWhatWouldBecomeOfARequest(t *testing.T) {
	file := writeFile(t, shop)
	for name, c := range map[string]struct {
		args []string
		due  []string
	}{
		"a route with filters, rewrite and split": {
			[]string{"GET", "http://shop.example.com:8081/items/42?a=b"},
			[]string{
				"listener api, 127.0.0.1:8081",
				"filter 1 request_id runs",
				`filter 2 mobile (headers) does not run: not when http_user_agent contains "Mobile"`,
				"filter 3 headers depends on status: when status >= 500",
				"item shop.example.com /items/{id} takes it",
				"beta (any host) /** not reached",
				`capture $path_id = "42"`,
				`filter 1 respond does not run: not when path_id == "7"`,
				"to split canary 10, shop 90",
				"upstream shop",
				"filter 1 retry runs",
				"endpoints, balance ewma",
				"10.0.0.2:80, weight 3",
				"upstream canary",
			},
		},
		"fields and client": {
			[]string{"GET", "/", "--listener", "api", "-H", "Host: other.example.com", "-H", "X-Beta: 1",
				"-H", "User-Agent: Mobile", "--client", "10.1.2.3"},
			[]string{
				`filter 2 mobile (headers) runs: when http_user_agent contains "Mobile"`,
				"item shop.example.com /items/{id} host other.example.com is not shop.example.com",
				"beta (any host) /** takes it",
				"upstream canary",
			},
		},
		"no route": {
			[]string{"GET", "http://shop.example.com:8081/"},
			[]string{"no route: 404 no_route, unless a filter of the listener answers or routes"},
		},
		"a condition on a capture": {
			[]string{"GET", "http://shop.example.com:8081/items/7"},
			[]string{`filter 1 respond runs: when path_id == "7"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := sluice(append([]string{"explain", file}, c.args...)...)
			if code != 0 {
				t.Fatalf("exit code %d: %s", code, stderr)
			}
			wantLines(t, stdout, c.due...)
		})
	}
}

func TestExplainRefusesWhatItCannotAsk(t *testing.T) {
	file := writeFile(t, shop)
	for name, c := range map[string]struct {
		args []string
		due  string
	}{
		"a port of no listener": {[]string{"GET", "http://a.example.com/"}, "no listener has port 80: choose by --listener one of api, web"},
		"an unknown listener":   {[]string{"GET", "/", "--listener", "x"}, "--listener x: there are api, web"},
		"a client by name":      {[]string{"GET", "http://a:8080/", "--client", "me"}, "--client me"},
		"a field without colon": {[]string{"GET", "http://a:8080/", "-H", "X-Beta"}, "write 'Name: value'"},
		"another scheme":        {[]string{"GET", "ftp://a:8080/"}, `URL "ftp://a:8080/"`},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, stderr := sluice(append([]string{"explain", file}, c.args...)...)
			if code != 1 || !strings.Contains(stderr, c.due) {
				t.Errorf("exit code %d and %q, due 1 and %q", code, stderr, c.due)
			}
		})
	}
}

func TestSchemaIsJSON(t *testing.T) {
	code, stdout, stderr := sluice("schema")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var schema map[string]any
	if err := json.Unmarshal([]byte(stdout), &schema); err != nil {
		t.Fatalf("the schema is not JSON: %v", err)
	}
	if !strings.Contains(stdout, `"access_log"`) {
		t.Error("the schema does not know the filter access_log")
	}
}

func TestVersionNamesTheProgram(t *testing.T) {
	code, stdout, stderr := sluice("version")
	if code != 0 || !strings.HasPrefix(stdout, "sluice ") || !strings.Contains(stdout, " go1.") {
		t.Errorf("exit code %d, %q, %q; due 0 and sluice VERSION go1...", code, stdout, stderr)
	}
}
