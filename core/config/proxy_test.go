package config_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/config"
	"github.com/sluiceproxy/sluice/sdk/proxytest"
)

// web is a listeners section whose port the system chooses.
const web = "listeners: {web: '127.0.0.1:0'}\n"

// get returns the body of an answer, before which stands its status unless that is 200.
func get(t *testing.T, url string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatalf("GET %s: %v", url, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("GET %s: body: %v", url, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Sprint(resp.StatusCode, " ", string(body))
	}
	return string(body)
}

func wantAnswer(t *testing.T, url, due string) {
	t.Helper()
	if got := get(t, url); got != due {
		t.Errorf("GET %s answered %q, due %q", url, got, due)
	}
}

// await waits until got returns due, and fails the test when it does not in 10 s.
func await(t *testing.T, what, due string, got func() string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		have := got()
		if have == due {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: came %q, due %q", what, have, due)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func hello(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) })
}

func TestRoutesLeadToFiltersAndUpstreams(t *testing.T) {
	origin := proxytest.Origin(t, hello("from the origin"))
	p := proxytest.Start(t, web+`
routes:
- {name: filter, match: {path: /filter}, filters: {test_answer: from a filter}}
- {name: upstream, match: {path: /upstream}, to: app}
upstreams: {app: {endpoints: "`+origin+`"}}`)
	wantAnswer(t, p.URL("web")+"/filter", "from a filter")
	wantAnswer(t, p.URL("web")+"/upstream", "from the origin")
	if got := get(t, p.URL("web")+"/nowhere"); !strings.HasPrefix(got, "404 ") {
		t.Errorf("a path of no route answered %q, due 404", got)
	}
}

func TestARouteBelongsToTheListenersItNames(t *testing.T) {
	p := proxytest.Start(t, `
listeners: {a: "127.0.0.1:0", b: "127.0.0.1:0"}
routes:
- {name: only_b, listeners: b, match: {path: /}, filters: {test_answer: only b}}
- {name: both, filters: {test_answer: both}}`)
	wantAnswer(t, p.URL("a")+"/", "both")
	wantAnswer(t, p.URL("b")+"/", "only b")
}

func TestListenerFiltersComeFirst(t *testing.T) {
	p := proxytest.Start(t, `
listeners: {web: {address: "127.0.0.1:0", filters: {test_answer: listener}}}
routes: [{name: r, filters: {test_answer: route}}]`)
	wantAnswer(t, p.URL("web"), "listener")
}

func TestStateOutlivesAReloadForAsLongAsItsFilterIsTheSame(t *testing.T) {
	routes := func(step int, more string) string {
		return web + fmt.Sprintf("routes:\n- {name: r, filters: {test_counter: {step: %d}}}\n%s", step, more)
	}
	p := proxytest.Start(t, routes(1, ""))
	steps := []struct{ reload, due string }{
		{"", "1"}, {"", "2"},
		{routes(1, "- {name: another, match: {path: /a}}"), "3"},
		{routes(2, ""), "2"}, {"", "4"},
		{routes(1, ""), "1"},
	}
	for i, s := range steps {
		if s.reload != "" {
			if err := p.Reload(s.reload); err != nil {
				t.Fatalf("reload %d: %v", i, err)
			}
		}
		wantAnswer(t, p.URL("web"), s.due)
	}
}

func TestAnInvalidReloadChangesNothingAndSaysWhy(t *testing.T) {
	good := web + "routes: [{name: r, filters: {test_answer: good}}]"
	p := proxytest.Start(t, good)
	taken := proxytest.Origin(t, hello(""))
	for _, c := range []struct{ name, yaml, due string }{
		{"decoding", web + "rutes: []\nlog: {level: loud}", `unknown key "rutes"`},
		{"building", web + "routes: [{name: r, filters: {test_answer: unbuildable}}]", "route r: filter test_answer: this text cannot be built"},
		{"listening", "listeners: {web: '127.0.0.1:0', taken: '" + taken + "'}", "listener taken"},
		{"the admin address", web + "admin: " + taken, "admin: "},
	} {
		err := p.Reload(c.yaml)
		if err == nil || !strings.Contains(err.Error(), c.due) {
			t.Errorf("%s: the error is %v, due one with %q", c.name, err, c.due)
		}
		wantAnswer(t, p.URL("web"), "good")
		if !strings.Contains(p.Log(), strings.ReplaceAll(c.due, `"`, `\"`)) {
			t.Errorf("%s: the log has no %q:\n%s", c.name, c.due, p.Log())
		}
	}
	for _, due := range []string{`unknown key \"rutes\"`, `\"loud\" is not a value`} {
		if !strings.Contains(p.Log(), due) {
			t.Errorf("the log lacks %q, and every mistake is due:\n%s", due, p.Log())
		}
	}
}

func TestReloadsAreCounted(t *testing.T) {
	p := proxytest.Start(t, web)
	p.Reload(web)
	p.Reload("listeners: [")
	p.Reload(web)
	var out strings.Builder
	p.Metrics().WritePrometheus(&out)
	for _, due := range []string{`sluice_reloads_total{result="ok"} 2`, `sluice_reloads_total{result="refused"} 1`} {
		if !strings.Contains(out.String(), due) {
			t.Errorf("the metrics lack %s:\n%s", due, out.String())
		}
	}
}

func TestAFailedBuildClosesWhatWasBuilt(t *testing.T) {
	log := "log: " + newJournal(t)
	list := func(filters string) string {
		return web + "routes: [{name: r, filters: [" + strings.ReplaceAll(filters, "LOG", log) + "]}]"
	}
	p := proxytest.Start(t, list("{test_tracked: {name: a, LOG}}"))
	if err := p.Reload(list("{test_tracked: {name: a, LOG}}, {test_tracked: {name: b, LOG}}, {test_tracked: {name: c, LOG, fail: true}}")); err == nil {
		t.Fatal("a filter that cannot be built was taken")
	}
	due := []string{"build a", "make state of a", "build a", "build b", "make state of b", "close b", "close a", "close state of b"}
	if got := journal(t); !slices.Equal(got, due) {
		t.Errorf("what happened: %q\ndue was: %q", got, due)
	}
}

func TestFiltersAreClosedWhenTheirLastExchangeHasEnded(t *testing.T) {
	log := newJournal(t)
	entered, leave := make(chan bool), make(chan bool)
	origin := proxytest.Origin(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		entered <- true
		<-leave
		io.WriteString(w, "late")
	}))
	yaml := func(name string) string {
		return web + "routes: [{name: r, to: app, filters: {test_tracked: {name: " + name + ", log: " + log + "}}}]\n" +
			"upstreams: {app: {endpoints: '" + origin + "'}}"
	}
	p := proxytest.Start(t, yaml("a"))
	answer := make(chan string)
	go func() { answer <- get(t, p.URL("web")) }()
	<-entered
	if err := p.Reload(yaml("b")); err != nil {
		t.Fatal(err)
	}
	if got := journal(t); slices.Contains(got, "close a") {
		t.Errorf("filter a was closed under its exchange: %q", got)
	}
	close(leave)
	if got := <-answer; got != "late" {
		t.Errorf("the exchange that ran through the reload answered %q, due late", got)
	}
	due := fmt.Sprint([]string{"build a", "make state of a", "build b", "make state of b", "close a", "close state of a"})
	await(t, "what happened", due, func() string { return fmt.Sprint(journal(t)) })
}

func TestClosingTheProxyClosesItsFilters(t *testing.T) {
	p := proxytest.Start(t, web+"routes: [{name: r, filters: {test_tracked: {log: "+newJournal(t)+"}}}]")
	p.Close()
	due := []string{"build test_tracked", "make state of test_tracked", "close test_tracked", "close state of test_tracked"}
	if got := journal(t); !slices.Equal(got, due) {
		t.Errorf("what happened: %q\ndue was: %q", got, due)
	}
	if err := p.Reload(web); err == nil {
		t.Error("a proxy that was closed took a configuration")
	}
}

func TestNothingListensWhenTheStartFails(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	dir := writeFiles(t, map[string]string{"f.yaml": fmt.Sprintf(
		"listeners: {free: '%s', taken: '%s'}\nroutes: [{name: r, filters: {test_tracked: {log: %s}}}]", free.Addr(), taken.Addr(), newJournal(t))})
	p, err := config.Start(filepath.Join(dir, "f.yaml"), config.Options{})
	if err == nil {
		p.Close()
		t.Fatal("a proxy started on an address that is taken")
	}
	if !strings.Contains(err.Error(), "listener taken") {
		t.Errorf("the error is %q, due one that names the listener", err)
	}
	if c, err := net.Dial("tcp", free.Addr().String()); err == nil {
		c.Close()
		t.Errorf("%s listens, and nothing should", free.Addr())
	}
	if got := journal(t); !slices.Contains(got, "close test_tracked") {
		t.Errorf("the filter was not closed: %q", got)
	}
}

func TestTheAdminServerFollowsTheConfiguration(t *testing.T) {
	with := web + "admin: 127.0.0.1:0\nroutes: [{name: r, to: app}]\nupstreams: {app: {endpoints: '127.0.0.1:1'}}"
	p := proxytest.Start(t, with)
	first := p.AdminAddr().String()
	if got := get(t, "http://"+first+"/routes"); !strings.Contains(got, `"name": "r"`) || !strings.Contains(got, `"to": "app"`) {
		t.Errorf("/routes answered %s, due the route r to app", got)
	}
	if got := get(t, "http://"+first+"/upstreams"); !strings.Contains(got, "127.0.0.1:1") {
		t.Errorf("/upstreams answered %s, due the endpoint", got)
	}
	if err := p.Reload(with); err != nil || p.AdminAddr().String() != first {
		t.Errorf("a reload that changes nothing moved the admin server from %s to %v (%v)", first, p.AdminAddr(), err)
	}
	if err := p.Reload(web); err != nil || p.AdminAddr() != nil {
		t.Errorf("the admin server is at %v without its section (%v)", p.AdminAddr(), err)
	}
}

func TestAnAdminRequestMayEndItsOwnServer(t *testing.T) {
	dir := writeFiles(t, map[string]string{"f.yaml": web + "admin: 127.0.0.1:0\nwatch: false"})
	file := filepath.Join(dir, "f.yaml")
	p, err := config.Start(file, config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := os.WriteFile(file, []byte(web+"watch: false"), 0o644); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post("http://"+p.AdminAddr().String()+"/config/reload", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || p.AdminAddr() != nil {
		t.Errorf("POST /config/reload answered %s and the admin server is at %v, due 200 and none", resp.Status, p.AdminAddr())
	}
}

func TestTheLogFollowsTheConfiguration(t *testing.T) {
	yaml := func(log string) string {
		return web + "watch: false\nlog: {" + log + "}\nupstreams: {spare: {endpoints: 'a:1'}}"
	}
	dir := writeFiles(t, map[string]string{"f.yaml": yaml("file: a.log, format: json")})
	file, logged := filepath.Join(dir, "f.yaml"), filepath.Join(dir, "a.log")
	p, err := config.Start(file, config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	text, err := os.ReadFile(logged)
	if err != nil {
		t.Fatal(err)
	}
	var line struct{ Level, Msg string }
	if err := json.Unmarshal(text, &line); err != nil || line.Level != "WARN" || !strings.Contains(line.Msg, "no route refers to it") {
		t.Errorf("the log holds %s (%v), due a JSON line with the warning", text, err)
	}
	if err := os.Rename(logged, logged+".1"); err != nil {
		t.Fatal(err)
	}
	if err := p.ReopenLog(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(yaml("file: a.log, level: error")), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	p.Log().Warn("below the level")
	p.Log().With("k", "v").WithGroup("g").Error("as text", "a", 1)
	text, err = os.ReadFile(logged)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(text); strings.Contains(got, "below") || !strings.Contains(got, `msg="as text" k=v g.a=1`) {
		t.Errorf("the log that was opened again holds\n%s\ndue the error alone, as text", got)
	}
}

func TestBuildShowsWhatAFileDoes(t *testing.T) {
	f := mustLoad(t, map[string]string{"f.yaml": listen + "routes: [{name: r, to: u, filters: [test_anywhere, test_answer]}]\nupstreams: {u: {endpoints: 'a:1', filters: test_anywhere}}"})
	g, err := config.Build(f, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	var names []string
	for _, l := range append(g.Filters(core.ScopeRoute, "r"), g.Filters(core.ScopeUpstream, "u")...) {
		names = append(names, l.Name)
	}
	if due := []string{"test_anywhere", "test_answer", "test_anywhere"}; !slices.Equal(names, due) {
		t.Errorf("the filters are %q, due %q", names, due)
	}
	if g.UpstreamByName("u") == nil || g.UpstreamByName("v") != nil || g.RouteByName("web", "r") == nil || g.RouteByName("web", "s") != nil || g.Table("web") == nil {
		t.Error("the upstream u, the route r and the table of web are due, and no others")
	}
}

func TestBuildFindsEveryFileThatIsMissing(t *testing.T) {
	f := mustLoad(t, map[string]string{"f.yaml": `
listeners:
  a: {address: ':0', tls: {certificates: {cert: a.pem, key: a.pem}}}
  b: {address: ':0', tls: {certificates: {cert: b.pem, key: b.pem}}}
routes: [{name: r, filters: {test_answer: unbuildable}}]`})
	g, err := config.Build(f, slog.New(slog.DiscardHandler))
	if err == nil {
		g.Close()
		t.Fatal("certificates that do not exist were loaded")
	}
	for _, due := range []string{"listener a: ", "a.pem", "listener b: ", "this text cannot be built"} {
		if !strings.Contains(err.Error(), due) {
			t.Errorf("the error is\n%v\ndue %q in it", err, due)
		}
	}
}

func TestNoRequestFailsOverReloads(t *testing.T) {
	origin := proxytest.Origin(t, hello("ok"))
	yaml := func(i int) string {
		return web + fmt.Sprintf("routes: [{name: r, to: app, metadata: {generation: '%d'}, filters: test_anywhere}]\nupstreams: {app: {endpoints: '%s'}}", i, origin)
	}
	p := proxytest.Start(t, yaml(0))
	url, stop := p.URL("web"), make(chan bool)
	answers := make(chan string, 3)
	for range cap(answers) {
		go func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			answers <- ask(client, url, stop)
		}()
	}
	for i := range 200 {
		if err := p.Reload(yaml(i)); err != nil {
			t.Errorf("reload %d: %v", i, err)
		}
	}
	close(stop)
	for range cap(answers) {
		if got := <-answers; got != "ok" {
			t.Errorf("a request during the reloads came to %q, due ok", got)
		}
	}
}

// ask sends requests until stop and returns the first answer that is not "ok", or else "ok".
func ask(client *http.Client, url string, stop <-chan bool) string {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return "ok"
		default:
		}
		resp, err := client.Get(url)
		if err != nil {
			return fmt.Sprintf("request %d: %v", n, err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(body) != "ok" {
			return fmt.Sprintf("request %d: %s %q %v", n, resp.Status, body, err)
		}
	}
}
