package accesslog_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/plugins/accesslog"
)

// open makes a filter that writes to path in dir, flushing fast.
func open(t testing.TB, dir, path string, change func(*accesslog.Config), log *slog.Logger) *accesslog.Filter {
	t.Helper()
	c := new(accesslog.Config)
	c.Defaults()
	c.Path, c.Flush = path, core.Duration(10*time.Millisecond)
	if change != nil {
		change(c)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if log == nil {
		log = slog.Default()
	}
	f, err := accesslog.New(c, &core.Env{Name: "access_log", Dir: dir, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return f.(*accesslog.Filter)
}

func closed(t testing.TB, f *accesslog.Filter) {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, name string) string {
	t.Helper()
	p, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(p)
}

// await waits until done returns true.
func await(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 5s: %s", what)
		}
	}
}

// exchange runs one through the filter, answered by next.
func exchange(t testing.TB, f core.Filter, target string, next core.HandlerFunc) {
	t.Helper()
	x := core.NewExchange(nil, nil)
	defer x.Release()
	x.Start = core.Now()
	x.Client.Addr = "192.0.2.7"
	x.Request.Method, x.Request.Proto, x.Request.Scheme = "GET", core.HTTP11, "http"
	x.Request.Authority = "shop.test"
	x.Request.SetReceived(target, target)
	x.Request.Header.Add("User-Agent", "ua \"1\"\x01ä")
	x.Request.Header.Add("Referer", "http://a/")
	x.Request.Header.Add("Authorization", "Basic YWxpY2U6c2VjcmV0")
	if err := f.Handle(x, next); err != nil && !core.IsReroute(err) {
		t.Fatal(err)
	}
	x.BytesOut, x.BodyBytesOut = 150, 5
	x.Finish()
}

func hello(x *core.Exchange) error {
	x.Respond(200, "text/plain", "hello")
	return nil
}

func TestFormats(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name   string
		change func(*accesslog.Config)
		due    string // TIME stands for the time
	}{
		{"combined", nil,
			`192.0.2.7 - alice [TIME] "GET /a?b=1 HTTP/1.1" 200 5 "http://a/" "ua \x221\x22\x01\xC3\xA4"` + "\n"},
		{"common", func(c *accesslog.Config) { c.Format = "common" },
			`192.0.2.7 - alice [TIME] "GET /a?b=1 HTTP/1.1" 200 5` + "\n"},
		{"template", func(c *accesslog.Config) { c.Format = "$host $status $route $http_user_agent" },
			`shop.test 200 - ua \x221\x22\x01\xC3\xA4` + "\n"},
		{"template-json", func(c *accesslog.Config) {
			c.Format, c.Escape = `{"ua":"$http_user_agent","route":"$route"}`, core.EscapeJSON
		}, `{"ua":"ua \"1\"\u0001ä","route":""}` + "\n"},
		{"template-none", func(c *accesslog.Config) { c.Format, c.Escape = "$http_user_agent", core.EscapeOff },
			"ua \"1\"\x01ä\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := open(t, dir, c.name, c.change, nil)
			exchange(t, f, "/a?b=1", hello)
			closed(t, f)
			got := read(t, filepath.Join(dir, c.name))
			if from, to := strings.Index(got, " ["), strings.Index(got, "] "); from > 0 && to > from {
				if _, err := time.Parse("02/Jan/2006:15:04:05 -0700", got[from+2:to]); err != nil {
					t.Errorf("time: %v", err)
				}
				got = got[:from+2] + "TIME" + got[to:]
			}
			if got != c.due {
				t.Errorf("came %q\ndue  %q", got, c.due)
			}
		})
	}
}

func TestJSONHoldsWhatIsKnownAndLeavesOutWhatIsNot(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, "log", func(c *accesslog.Config) { c.Format = "json" }, nil)
	exchange(t, f, "/a", func(x *core.Exchange) error {
		x.Attempts = append(x.Attempts,
			core.Attempt{Upstream: "app", Endpoint: "10.0.0.1:80", Code: core.CodeConnectRefused, Connect: -1, Header: -1, Total: -1},
			core.Attempt{Upstream: "app", Endpoint: "10.0.0.2:80", Status: 200, Connect: time.Millisecond,
				Header: 2 * time.Millisecond, Total: 3 * time.Millisecond})
		return hello(x)
	})
	exchange(t, f, "/gone", func(*core.Exchange) error { return nil })
	closed(t, f)
	lines := strings.Split(strings.TrimSuffix(read(t, filepath.Join(dir, "log")), "\n"), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines came, 2 are due: %q", len(lines), lines)
	}
	var first, second map[string]any
	for text, into := range map[string]*map[string]any{lines[0]: &first, lines[1]: &second} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	for key, due := range map[string]any{
		"client": "192.0.2.7", "user": "alice", "method": "GET", "host": "shop.test", "uri": "/a", "status": 200.0,
		"bytes_out": 150.0, "body_bytes_out": 5.0, "attempts": 2.0, "endpoint": "10.0.0.2:80",
		"upstream_status": "502, 200", "upstream_seconds": "-, 0.003", "user_agent": "ua \"1\"\x01ä",
	} {
		if first[key] != due {
			t.Errorf("%s is %v, due %v, in %s", key, first[key], due, lines[0])
		}
	}
	for _, key := range []string{"status", "route", "error", "upstream_status"} {
		if value, there := second[key]; there {
			t.Errorf("%s is %v, due none, in %s", key, value, lines[1])
		}
	}
}

func TestIfIsAskedWhenTheExchangeHasEnded(t *testing.T) {
	cond, err := core.ParseCondition("status >= 500")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	f := open(t, dir, "log", func(c *accesslog.Config) { c.Format, c.If = "$status", cond }, nil)
	for _, status := range []int{200, 502, 404, 500} {
		exchange(t, f, "/", func(x *core.Exchange) error {
			x.Respond(status, "", "")
			return nil
		})
	}
	closed(t, f)
	if got, due := read(t, filepath.Join(dir, "log")), "502\n500\n"; got != due {
		t.Errorf("log is %q, due %q", got, due)
	}
}

func TestAnExchangeThatIsRoutedAnewIsLoggedOnce(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, "log", func(c *accesslog.Config) { c.Format = "$uri" }, nil)
	defer closed(t, f)
	x := core.NewExchange(nil, nil)
	x.Request.SetTarget("/a")
	if err := f.Handle(x, core.HandlerFunc((*core.Exchange).Reroute)); !core.IsReroute(err) {
		t.Fatalf("error %v, due the reroute", err)
	}
	x.Request.SetTarget("/b")
	if err := f.Handle(x, core.HandlerFunc(hello)); err != nil {
		t.Fatal(err)
	}
	x.Finish()
	x.Release()
	await(t, "one line of /b", func() bool { return read(t, filepath.Join(dir, "log")) == "/b\n" })
}

func TestALineIsWrittenWithinFlush(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, "log", func(c *accesslog.Config) { c.Format = "x" }, nil)
	defer closed(t, f)
	exchange(t, f, "/", hello)
	await(t, "a line", func() bool { return read(t, filepath.Join(dir, "log")) == "x\n" })
}

func TestWithoutABufferALineIsWrittenAtOnce(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, "log", func(c *accesslog.Config) {
		c.Format, c.Buffer, c.Flush = "x", 0, core.Duration(time.Hour)
	}, nil)
	defer closed(t, f)
	exchange(t, f, "/", hello)
	await(t, "a line", func() bool { return read(t, filepath.Join(dir, "log")) == "x\n" })
}

func TestFiltersShareAFileAndTheLastOneClosesIt(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir, "log", func(c *accesslog.Config) { c.Format = "a" }, nil)
	b := open(t, dir, filepath.Join(dir, "log"), func(c *accesslog.Config) { c.Format = "b" }, nil)
	exchange(t, a, "/", hello)
	closed(t, a)
	exchange(t, b, "/", hello)
	closed(t, b)
	c := open(t, dir, "./log", func(c *accesslog.Config) { c.Format = "c" }, nil)
	exchange(t, c, "/", hello)
	closed(t, c)
	if got, due := read(t, filepath.Join(dir, "log")), "a\nb\nc\n"; got != due {
		t.Errorf("log is %q, due %q", got, due)
	}
}

func TestReopenAllGoesOnInANewFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "log")
	f := open(t, dir, "log", func(c *accesslog.Config) { c.Format, c.Flush = "$uri", core.Duration(time.Hour) }, nil)
	defer closed(t, f)
	exchange(t, f, "/old", hello)
	if err := os.Rename(name, name+".1"); err != nil {
		t.Fatal(err)
	}
	if err := accesslog.ReopenAll(); err != nil {
		t.Fatal(err)
	}
	await(t, "the old line in the old file", func() bool { return read(t, name+".1") == "/old\n" })
	exchange(t, f, "/new", hello)
	if err := accesslog.ReopenAll(); err != nil {
		t.Fatal(err)
	}
	await(t, "the new line in the new file", func() bool { return read(t, name) == "/new\n" })
	if got := read(t, name+".1"); got != "/old\n" {
		t.Errorf("the old file became %q", got)
	}
}

func TestReopenAllThatFailsKeepsTheOldFile(t *testing.T) {
	dir := t.TempDir()
	logs := filepath.Join(dir, "logs")
	if err := os.Mkdir(logs, 0o700); err != nil {
		t.Fatal(err)
	}
	f := open(t, logs, "log", func(c *accesslog.Config) { c.Format = "x" }, nil)
	defer closed(t, f)
	if err := os.Rename(logs, logs+".1"); err != nil {
		t.Fatal(err)
	}
	if err := accesslog.ReopenAll(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, due that the folder is not there", err)
	}
	exchange(t, f, "/", hello)
	await(t, "a line in the old file", func() bool { return read(t, filepath.Join(logs+".1", "log")) == "x\n" })
}

func TestAFileThatCannotBeOpenedIsAnErrorAtLoad(t *testing.T) {
	c := new(accesslog.Config)
	c.Defaults()
	c.Path = "missing/log"
	_, err := accesslog.New(c, &core.Env{Dir: t.TempDir(), Log: slog.Default()})
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "missing/log") {
		t.Errorf("error %v, due one that names missing/log", err)
	}
}

// A pipe that nobody reads stands for a disk that has stalled.
func TestWhenTheFileStallsLinesAreDroppedAndNoRequestWaits(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	var warned safeBuffer
	format := strings.Repeat("x", 1023)
	f := open(t, dir, "pipe", func(c *accesslog.Config) {
		c.Format, c.Buffer, c.Backlog = format, 4<<10, 64<<10
	}, slog.New(slog.NewTextHandler(&warned, nil)))

	const sent = 1000 // KiB, of which the pipe holds 64, a write 32 or 64 and the backlog 64
	began := time.Now()
	for range sent {
		exchange(t, f, "/", hello)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("%d exchanges took %v while the file stalled", sent, took)
	}

	done := make(chan int)
	go func() {
		lines := 0
		buf := make([]byte, 64<<10)
		for {
			n, err := reader.Read(buf)
			lines += bytes.Count(buf[:n], []byte("\n"))
			if err != nil || bytes.IndexByte(buf[:n], '!') >= 0 {
				done <- lines
				return
			}
		}
	}()
	closed(t, f)
	if _, err := reader.WriteString("!"); err != nil {
		t.Fatal(err)
	}
	if lines := <-done; lines == 0 || lines > 300 {
		t.Errorf("%d of %d lines came, due as many as the memory allowed holds", lines, sent)
	}
	if text := warned.String(); strings.Count(text, "lines were dropped") == 0 || !strings.Contains(text, "path="+name) {
		t.Errorf("the log has no warning of dropped lines: %s", text)
	}
}

func TestNoLineOfManyExchangesAtATimeIsLost(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, "log", func(c *accesslog.Config) { c.Format = "$connection" }, nil)
	const clients, each = 8, 500
	var wg sync.WaitGroup
	for id := range clients {
		wg.Go(func() {
			for range each {
				x := core.NewExchange(nil, nil)
				x.Client.ID = uint64(id + 1)
				if err := f.Handle(x, core.HandlerFunc(hello)); err != nil {
					t.Error(err)
				}
				x.Finish()
				x.Release()
			}
		})
	}
	wg.Wait()
	closed(t, f)
	got := map[string]int{}
	for line := range strings.Lines(read(t, filepath.Join(dir, "log"))) {
		got[line]++
	}
	for id := range clients {
		if line := string('1'+byte(id)) + "\n"; got[line] != each {
			t.Errorf("%d lines of connection %d came, %d are due", got[line], id+1, each)
		}
	}
	if len(got) != clients {
		t.Errorf("lines of %d connections came, %d are due", len(got), clients)
	}
}

func TestSettingsOutOfRangeAreRefused(t *testing.T) {
	for _, c := range []struct {
		change func(*accesslog.Config)
		due    string
	}{
		{func(c *accesslog.Config) { c.Path = "" }, "path is empty"},
		{func(c *accesslog.Config) { c.Format = "" }, "format is empty"},
		{func(c *accesslog.Config) { c.Format = "$hots" }, "did you mean $host?"},
		{func(c *accesslog.Config) { c.Buffer = 17 << 20 }, "buffer 17MiB is out of range"},
		{func(c *accesslog.Config) { c.Flush = 0 }, "flush 0s is out of range"},
		{func(c *accesslog.Config) { c.Backlog = 1 << 10 }, "backlog 1KiB is out of range"},
	} {
		cfg := new(accesslog.Config)
		cfg.Defaults()
		c.change(cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), c.due) {
			t.Errorf("error %v, due one with %q", err, c.due)
		}
	}
}

// safeBuffer is a buffer that a log may write to while it is read.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
