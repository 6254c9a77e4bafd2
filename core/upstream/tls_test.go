package upstream_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/upstream"
)

// pin is a key's sum as tls.pins has it.
func pin(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func TestTLSToEndpointsIsCheckedAsConfigured(t *testing.T) {
	var checks atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			checks.Add(1)
		}
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	a := s.Listener.Addr().String()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	right, wrong := pin(s.Certificate()), base64.StdEncoding.EncodeToString(make([]byte, 32))
	for _, c := range []struct {
		name string
		tls  upstream.TLS
		ok   bool
	}{
		{"an authority that is not known", upstream.TLS{}, false},
		{"its authority", upstream.TLS{CA: ca}, true},
		{"its authority, another name it has", upstream.TLS{CA: ca, ServerName: "example.com"}, true},
		{"its authority, a name it does not have", upstream.TLS{CA: ca, ServerName: "shop.internal"}, false},
		{"no check", upstream.TLS{Insecure: true}, true},
		{"its pin", upstream.TLS{CA: ca, Pins: []string{wrong, right}}, true},
		{"another pin", upstream.TLS{CA: ca, Pins: []string{wrong}}, false},
		{"no check but its pin", upstream.TLS{Insecure: true, Pins: []string{right}}, true},
		{"no check but another pin", upstream.TLS{Insecure: true, Pins: []string{wrong}}, false},
	} {
		for _, path := range []string{"/healthz", ""} {
			before := checks.Load()
			u := open(t, config(nil, at(a), func(cfg *upstream.Config) { cfg.TLS = &c.tls },
				health(func(h *upstream.Health) { h.Path, h.Every = path, core.Duration(time.Hour) })))
			_, _, err := get(u, "/")
			if e, _ := core.AsError(err); c.ok && err != nil || !c.ok && (e == nil || e.Code != core.CodeUpstreamTLS) {
				t.Errorf("%s: got the error %v, want it to work: %v", c.name, err, c.ok)
			}
			switch {
			case !c.ok:
				eventually(t, c.name+" fails the check", func() bool { return endpoint(t, u, a).State() == "unhealthy" })
			case path != "":
				eventually(t, c.name+" passes a check", func() bool { return checks.Load() > before })
			}
		}
	}
}
