package proxytest

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/sluiceproxy/sluice/core/config"
)

// Proxy is a proxy that runs for a test.
type Proxy struct {
	*config.Proxy

	t          testing.TB
	file       string
	log        logBuffer
	goroutines goroutines
}

// Start runs a proxy with a configuration, in which listeners should have the address
// "127.0.0.1:0". The test fails at once when the configuration is wrong. The proxy is closed when
// the test ends.
func Start(t testing.TB, yaml string) *Proxy {
	t.Helper()
	p := &Proxy{t: t, file: filepath.Join(t.TempDir(), "sluice.yaml"), goroutines: newGoroutines()}
	p.write(yaml)
	log := slog.New(slog.NewTextHandler(&p.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	p.goroutines.own(func() {
		p.Proxy, err = config.Start(p.file, config.Options{Log: log, NoWatch: true})
	})
	if err != nil {
		t.Fatalf("the proxy does not start:\n%v", err)
	}
	t.Cleanup(func() {
		p.Close()
		if left := p.goroutines.left(); left != "" {
			t.Errorf("goroutines are left of the proxy:\n%s", left)
		}
	})
	return p
}

// Reload runs the proxy with another configuration. On an error, which is returned, it goes on
// with the one it has.
func (p *Proxy) Reload(yaml string) (err error) {
	p.t.Helper()
	p.write(yaml)
	p.goroutines.own(func() { err = p.Proxy.Reload() })
	return err
}

func (p *Proxy) write(yaml string) {
	p.t.Helper()
	if err := os.WriteFile(p.file, []byte(yaml), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// Addr returns the host:port that a listener is bound to. The test fails at once when there is no
// listener of that name.
func (p *Proxy) Addr(listener string) string {
	p.t.Helper()
	addr := p.Server().Addr(listener)
	if addr == nil {
		p.t.Fatalf("the proxy has no listener %q", listener)
	}
	return addr.String()
}

// URL returns "http://host:port" of a listener, as Addr does.
func (p *Proxy) URL(listener string) string {
	p.t.Helper()
	return "http://" + p.Addr(listener)
}

// Log returns what the proxy has logged so far, at all levels, a line each.
func (p *Proxy) Log() string { return p.log.String() }

// Origin starts an HTTP/1.1 server for h and returns its host:port. It is closed when the test
// ends; requests that run are cut.
func Origin(t testing.TB, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.Listener.Addr().String()
}

// logBuffer is a buffer for several goroutines.
type logBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

var _ io.Writer = (*logBuffer)(nil)

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
