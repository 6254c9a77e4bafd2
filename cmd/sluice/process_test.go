package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what should happen at once.
const patience = 20 * time.Second

// process is a sluice of its own.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string // of its output; closed when every process that has it is gone
	ended chan error
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: exec.Command(os.Args[0], args...), lines: make(chan string, 1000), ended: make(chan error, 1)}
	p.cmd.Env = append(os.Environ(), asSluice+"=1")
	p.cmd.Stdout, p.cmd.Stderr = w, w
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	go func() {
		defer close(p.lines)
		defer r.Close()
		for scanner := bufio.NewScanner(r); scanner.Scan(); {
			p.lines <- scanner.Text()
		}
	}()
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(func() { p.cmd.Process.Kill() })
	return p
}

// await returns the first line that matches, with its groups.
func (p *process) await(pattern string) []string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	timeout := time.After(patience)
	var seen []string
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("ended without a line %q:\n%s", pattern, strings.Join(seen, "\n"))
			}
			seen = append(seen, line)
			if found := re.FindStringSubmatch(line); found != nil {
				return found
			}
		case <-timeout:
			p.t.Fatalf("no line %q after %v:\n%s", pattern, patience, strings.Join(seen, "\n"))
		}
	}
}

// url returns the address of the listener web.
func (p *process) url() string { return "http://" + p.await(`listener=web address=(\S+)`)[1] }

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("%v: %v", s, err)
	}
}

// exit waits for the process's end.
func (p *process) exit() error {
	p.t.Helper()
	select {
	case err := <-p.ended:
		return err
	case <-time.After(patience):
		p.t.Fatalf("still running after %v", patience)
		return nil
	}
}

var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}

func get(url string) (string, error) {
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func wantBody(t *testing.T, url, due string) {
	t.Helper()
	if body, err := get(url); body != due || err != nil {
		t.Fatalf("GET %s: %q, %v; due %q", url, body, err, due)
	}
}

func answering(body string) string {
	return fmt.Sprintf(`
listeners: { web: "127.0.0.1:0" }
routes:
  - { name: all, filters: [{ respond: { body: %q } }] }
watch: false
`, body)
}

func TestSIGHUPLoadsTheConfigurationAnew(t *testing.T) {
	file := writeFile(t, answering("old"))
	p := start(t, "run", file)
	url := p.url()
	wantBody(t, url, "old")

	rewrite(t, file, "listeners: 7")
	p.signal(syscall.SIGHUP)
	p.await("configuration refused")
	wantBody(t, url, "old")

	rewrite(t, file, answering("new"))
	p.signal(syscall.SIGHUP)
	p.await("configuration reloaded")
	wantBody(t, url, "new")
}

func rewrite(t *testing.T, file, yaml string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
}

// held is a proxy in front of an origin that answers when release is closed, and a request that
// waits there.
type held struct {
	*process
	release chan struct{}
	answer  chan string
}

func holdRequest(t *testing.T) held {
	t.Helper()
	h := held{release: make(chan struct{}), answer: make(chan string, 1)}
	arrived := make(chan struct{})
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		select {
		case <-h.release:
		case <-r.Context().Done():
		}
		io.WriteString(w, "done")
	}))
	t.Cleanup(origin.Close)
	h.process = start(t, "run", writeFile(t, fmt.Sprintf(`
listeners: { web: "127.0.0.1:0" }
routes: [{ name: all, to: origin }]
upstreams: { origin: { endpoints: [%q] } }
`, origin.Listener.Addr())))
	url := h.url()
	go func() {
		body, err := get(url)
		if err != nil {
			body = "error: " + err.Error()
		}
		h.answer <- body
	}()
	<-arrived
	return h
}

func TestSIGTERMLetsRunningExchangesEnd(t *testing.T) {
	h := holdRequest(t)
	h.signal(syscall.SIGTERM)
	h.await("draining")
	close(h.release)
	if answer := <-h.answer; answer != "done" {
		t.Errorf("the request that ran came back with %q, due done", answer)
	}
	if err := h.exit(); err != nil {
		t.Errorf("ended with %v, due exit code 0", err)
	}
}

func TestASecondSIGTERMEndsAtOnce(t *testing.T) {
	h := holdRequest(t)
	h.signal(syscall.SIGTERM)
	h.await("draining")
	h.signal(syscall.SIGTERM)
	h.await("exchanges were cut")
	if err := h.exit(); err != nil {
		t.Errorf("ended with %v, due exit code 0", err)
	}
	if answer := <-h.answer; !strings.HasPrefix(answer, "error: ") {
		t.Errorf("the request that was cut came back with %q, due an error", answer)
	}
}

func TestSIGUSR1OpensLogsAnew(t *testing.T) {
	file := writeFile(t, `
listeners:
  web:
    address: 127.0.0.1:0
    filters:
      - access_log: { path: access.log, format: $uri, buffer: 0B }
      - respond: 204
`)
	p := start(t, "run", file)
	url := p.url()
	log := filepath.Join(filepath.Dir(file), "access.log")
	wantBody(t, url+"/before", "")
	awaitFile(t, log, "/before\n")

	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGUSR1)
	awaitFile(t, log, "")
	wantBody(t, url+"/after", "")
	awaitFile(t, log, "/after\n")
	awaitFile(t, log+".1", "/before\n")
}

// awaitFile polls: the log is written by another process.
func awaitFile(t *testing.T, name, due string) {
	t.Helper()
	var text []byte
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if text, err = os.ReadFile(name); err == nil && string(text) == due {
			return
		}
	}
	t.Fatalf("%s holds %q, %v; due %q", filepath.Base(name), text, err, due)
}

func TestSIGUSR2HandsTheSocketsToANewProcess(t *testing.T) {
	p := start(t, "run", writeFile(t, answering("$pid")))
	url := p.url()
	wantBody(t, url, strconv.Itoa(p.cmd.Process.Pid))

	failed := make(chan error)
	stop := make(chan struct{})
	go func() {
		defer close(failed)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := get(url); err != nil {
				failed <- err
				return
			}
		}
	}()
	p.signal(syscall.SIGUSR2)
	if err := p.exit(); err != nil {
		t.Errorf("the old process ended with %v, due exit code 0", err)
	}
	body, err := get(url)
	if err != nil {
		t.Fatalf("after the handover: %v", err)
	}
	pid, err := strconv.Atoi(body)
	if err != nil || pid == p.cmd.Process.Pid {
		t.Fatalf("after the handover process %q answers, due another than %d", body, p.cmd.Process.Pid)
	}
	close(stop)
	if err := <-failed; err != nil {
		t.Errorf("a request failed during the handover: %v", err)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatalf("the new process: %v", err)
	}
	for range p.lines { // until the new process, which has the same output, is gone
	}
}

func TestOriginRunsUntilASignal(t *testing.T) {
	p := start(t, "origin", "--listen", "127.0.0.1:0", "--name", "a", "--text", "hello", "--size", "3B")
	url := "http://" + p.await(`listens on (\S+)`)[1]
	wantBody(t, url, "012")
	p.signal(syscall.SIGTERM)
	if err := p.exit(); err != nil {
		t.Errorf("ended with %v, due exit code 0", err)
	}
}

func TestATakenPortIsSaidBeforeAnythingListens(t *testing.T) {
	taken := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(taken.Close)
	p := start(t, "run", writeFile(t, fmt.Sprintf("listeners: { web: %q }\n", taken.Listener.Addr())))
	p.await(`^sluice: .*listener web: .*taken`)
	if err := p.exit(); err == nil {
		t.Error("exit code 0, due 1")
	}
}
