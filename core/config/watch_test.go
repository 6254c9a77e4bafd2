package config_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sluiceproxy/sluice/core/config"
)

// watched runs a proxy on a file that is watched.
type watched struct {
	*config.Proxy
	t   *testing.T
	log lines
}

// lines is a log for several goroutines.
type lines struct {
	mu  sync.Mutex // guards buf
	buf strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func startWatched(t *testing.T, file string) *watched {
	t.Helper()
	w := &watched{t: t}
	p, err := config.Start(file, config.Options{Log: slog.New(slog.NewTextHandler(&w.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	w.Proxy = p
	return w
}

// awaitAnswer waits until the proxy answers with due.
func (w *watched) awaitAnswer(due string) {
	w.t.Helper()
	await(w.t, "the answer", due, func() string { return get(w.t, "http://"+w.Server().Addr("web").String()) })
}

func (w *watched) awaitLog(due string) {
	w.t.Helper()
	await(w.t, "the log", "has "+due, func() string {
		if strings.Contains(w.log.String(), due) {
			return "has " + due
		}
		return w.log.String()
	})
}

func answering(text string) string {
	return web + "routes: [{name: r, filters: {test_answer: " + text + "}}]"
}

func mustWrite(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// replaceLink points a link elsewhere in one step, as Kubernetes does.
func replaceLink(t *testing.T, target, link string) {
	t.Helper()
	if err := os.Symlink(target, link+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+".new", link); err != nil {
		t.Fatal(err)
	}
}

func TestAFileThatIsWrittenIsLoaded(t *testing.T) {
	file := filepath.Join(writeFiles(t, map[string]string{"f.yaml": answering("one")}), "f.yaml")
	w := startWatched(t, file)
	mustWrite(t, file, answering("two"))
	w.awaitAnswer("two")
	mustWrite(t, file, "listeners: [")
	w.awaitLog("configuration refused")
	w.awaitAnswer("two")
	mustWrite(t, file+".tmp", answering("three"))
	if err := os.Rename(file+".tmp", file); err != nil {
		t.Fatal(err)
	}
	w.awaitAnswer("three")
}

func TestAnIncludedFileThatAppearsIsLoaded(t *testing.T) {
	dir := writeFiles(t, map[string]string{"f.yaml": web + "include: conf.d/*.yaml"})
	w := startWatched(t, filepath.Join(dir, "f.yaml"))
	if err := os.Mkdir(filepath.Join(dir, "conf.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, filepath.Join(dir, "conf.d", "a.yaml"), "routes: [{name: r, filters: {test_answer: new}}]")
	w.awaitAnswer("new")
}

func TestALinkThatIsReplacedIsFollowed(t *testing.T) {
	dir := writeFiles(t, map[string]string{
		"..v1/f.yaml": answering("one"), "..v2/f.yaml": answering("two"), "elsewhere/f.yaml": answering("three")})
	replaceLink(t, "..v1", filepath.Join(dir, "..data"))
	replaceLink(t, "..data/f.yaml", filepath.Join(dir, "f.yaml"))
	w := startWatched(t, filepath.Join(dir, "f.yaml"))
	w.awaitAnswer("one")
	replaceLink(t, "..v2", filepath.Join(dir, "..data"))
	w.awaitAnswer("two")
	replaceLink(t, "elsewhere/f.yaml", filepath.Join(dir, "f.yaml"))
	w.awaitAnswer("three")
	mustWrite(t, filepath.Join(dir, "elsewhere", "f.yaml"), answering("four"))
	w.awaitAnswer("four")
}

func TestOtherFilesInTheFolderAreIgnored(t *testing.T) {
	dir := writeFiles(t, map[string]string{"f.yaml": answering("one")})
	file := filepath.Join(dir, "f.yaml")
	w := startWatched(t, file)
	mustWrite(t, filepath.Join(dir, "other.yaml"), "x")
	mustWrite(t, file, answering("one")) // written, and the same
	mustWrite(t, filepath.Join(dir, "other.yaml"), "y")
	mustWrite(t, file, answering("two"))
	w.awaitAnswer("two")
	if n := strings.Count(w.log.String(), "configuration reloaded"); n != 1 {
		t.Errorf("there were %d reloads, 1 is due:\n%s", n, w.log.String())
	}
}

func TestWatchingCanBeTurnedOffAndOn(t *testing.T) {
	file := filepath.Join(writeFiles(t, map[string]string{"f.yaml": answering("one")}), "f.yaml")
	w := startWatched(t, file)
	mustWrite(t, file, answering("two")+"\nwatch: false")
	w.awaitAnswer("two")
	mustWrite(t, file, answering("three"))
	if err := w.Reload(); err != nil { // sees the file before any watcher could have
		t.Fatal(err)
	}
	w.awaitAnswer("three")
	mustWrite(t, file, answering("four"))
	w.awaitAnswer("four")
	if n := strings.Count(w.log.String(), "configuration reloaded"); n != 3 {
		t.Errorf("there were %d reloads, 3 are due:\n%s", n, w.log.String())
	}
}
