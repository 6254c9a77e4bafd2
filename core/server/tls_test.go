package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/sdk/proxytest"
)

// authority signs the certificates of a test.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	n    int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{dir: t.TempDir(), cert: cert, key: key, n: 1}
	a.write(t, "ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) write(t *testing.T, name, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(a.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

// issue writes NAME.pem and NAME.key for the host names.
func (a *authority) issue(t *testing.T, name string, hosts ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a.n++
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(a.n), Subject: pkix.Name{CommonName: name}, DNSNames: hosts,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	a.write(t, name+".pem", "CERTIFICATE", der)
	a.write(t, name+".key", "EC PRIVATE KEY", keyDER)
	pair, err := tls.LoadX509KeyPair(a.path(name+".pem"), a.path(name+".key"))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func (a *authority) client(serverName string, cfg *tls.Config) *http.Client {
	if cfg == nil {
		cfg = &tls.Config{}
	}
	cfg.RootCAs, cfg.ServerName = a.pool(), serverName
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true, DisableKeepAlives: true}}
}

func TestCertificatesAreChosenByTheNameAskedFor(t *testing.T) {
	a := newAuthority(t)
	a.issue(t, "one", "one.example")
	a.issue(t, "wild", "*.wild.example")
	p := proxyTo(t, proxytest.Origin(t, http.HandlerFunc(echo)), fmt.Sprintf(
		`, tls: {certificates: [{cert: %[1]s/one.pem, key: %[1]s/one.key}, {cert: %[1]s/wild.pem, key: %[1]s/wild.key}]}`, a.dir))
	for name, want := range map[string]string{"one.example": "one", "a.wild.example": "wild"} {
		resp, err := a.client(name, nil).Get("https://" + p.Addr("web") + "/")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if got := resp.TLS.PeerCertificates[0].Subject.CommonName; got != want || resp.ProtoMajor != 2 ||
			!strings.Contains(string(body), "X-Forwarded-Proto: https") {
			t.Errorf("%s: certificate %s, HTTP/%d, %q; due %s and HTTP/2", name, got, resp.ProtoMajor, body, want)
		}
	}
	old := a.client("one.example", &tls.Config{MaxVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
	old.Transport.(*http.Transport).ForceAttemptHTTP2 = false
	resp, err := old.Get("https://" + p.Addr("web") + "/")
	if err != nil || resp.ProtoMajor != 1 || resp.TLS.Version != tls.VersionTLS12 {
		t.Fatalf("TLS 1.2 and HTTP/1.1: %+v, %v", resp, err)
	}
	resp.Body.Close()
}

func TestClientsNeedACertificateWhereTheListenerSaysSo(t *testing.T) {
	a := newAuthority(t)
	a.issue(t, "one", "one.example")
	p := proxyTo(t, proxytest.Origin(t, http.HandlerFunc(echo)), fmt.Sprintf(
		`, tls: {certificates: [{cert: %[1]s/one.pem, key: %[1]s/one.key}], client_ca: %[1]s/ca.pem}`, a.dir))
	if resp, err := a.client("one.example", nil).Get("https://" + p.Addr("web") + "/"); err == nil {
		resp.Body.Close()
		t.Errorf("without a certificate: %d", resp.StatusCode)
	}
	mine := a.issue(t, "me")
	resp, err := a.client("one.example", &tls.Config{Certificates: []tls.Certificate{mine}}).Get("https://" + p.Addr("web") + "/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("with a certificate: %d", resp.StatusCode)
	}
}

func TestAReloadServesNewCertificatesAndABrokenOneChangesNothing(t *testing.T) {
	a := newAuthority(t)
	a.issue(t, "one", "one.example")
	config := fmt.Sprintf(`
listeners:
  web: {address: "127.0.0.1:0", tls: {certificates: [{cert: %[1]s/one.pem, key: %[1]s/one.key}]}}
routes:
  - {name: all, to: origin}
upstreams:
  origin: {endpoints: ["%[2]s"]}
`, a.dir, proxytest.Origin(t, http.HandlerFunc(echo)))
	p := proxytest.Start(t, config)
	serial := func() string {
		t.Helper()
		resp, err := a.client("one.example", nil).Get("https://" + p.Addr("web") + "/")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.TLS.PeerCertificates[0].SerialNumber.String()
	}
	first := serial()
	if err := os.WriteFile(a.path("one.key"), []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.Reload(config + "# again\n"); err == nil || !strings.Contains(err.Error(), "one.key") {
		t.Errorf("a key that is none: %v, due an error that names the file", err)
	}
	if got := serial(); got != first {
		t.Errorf("after a reload that failed: certificate %s, due %s", got, first)
	}
	a.issue(t, "one", "one.example")
	if err := p.Reload(config + "# once more\n"); err != nil {
		t.Fatal(err)
	}
	if got := serial(); got == first {
		t.Errorf("after a reload: still certificate %s", got)
	}
}

func TestEndpointsAreSpokenToAsTheUpstreamSays(t *testing.T) {
	a := newAuthority(t)
	mine := a.issue(t, "origin", "origin.example")
	a.issue(t, "proxy")
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer := "-"
		if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
			peer = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", r.Proto, peer, body)
	})
	secure := httptest.NewUnstartedServer(h)
	secure.TLS = &tls.Config{Certificates: []tls.Certificate{mine}, ClientCAs: a.pool(), ClientAuth: tls.VerifyClientCertIfGiven}
	secure.EnableHTTP2 = true
	secure.StartTLS()
	defer secure.Close()
	plain := httptest.NewUnstartedServer(h)
	plain.Config.Protocols = new(http.Protocols)
	plain.Config.Protocols.SetHTTP1(true)
	plain.Config.Protocols.SetUnencryptedHTTP2(true)
	plain.Start()
	defer plain.Close()
	verify := fmt.Sprintf("ca: %s/ca.pem, server_name: origin.example", a.dir)
	for _, tc := range []struct{ name, upstream, want string }{
		{"http1", fmt.Sprintf("endpoints: [%q]", plain.Listener.Addr()), "HTTP/1.1 - hello"},
		{"h2c", fmt.Sprintf("endpoints: [%q], protocol: h2c", plain.Listener.Addr()), "HTTP/2.0 - hello"},
		{"tls", fmt.Sprintf("endpoints: [%q], tls: {%s}", secure.Listener.Addr(), verify), "HTTP/1.1 - hello"},
		{"mtls", fmt.Sprintf("endpoints: [%q], tls: {%s, cert: %s/proxy.pem, key: %[3]s/proxy.key}", secure.Listener.Addr(), verify, a.dir), "HTTP/1.1 proxy hello"},
		{"h2", fmt.Sprintf("endpoints: [%q], protocol: h2, tls: {%s}", secure.Listener.Addr(), verify), "HTTP/2.0 - hello"},
		{"auto", fmt.Sprintf("endpoints: [%q], protocol: auto, tls: {%s}", secure.Listener.Addr(), verify), "HTTP/2.0 - hello"},
		{"auto without tls", fmt.Sprintf("endpoints: [%q], protocol: auto", plain.Listener.Addr()), "HTTP/1.1 - hello"},
		{"unknown authority", fmt.Sprintf("endpoints: [%q], tls: {server_name: origin.example}", secure.Listener.Addr()), "upstream_tls"},
		{"another name", fmt.Sprintf("endpoints: [%q], tls: {ca: %s/ca.pem, server_name: x.example}", secure.Listener.Addr(), a.dir), "upstream_tls"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := proxytest.Start(t, "listeners: {web: \"127.0.0.1:0\"}\nroutes: [{name: all, to: o}]\nupstreams: {o: {"+tc.upstream+"}}\n")
			for range 3 {
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				req, _ := http.NewRequestWithContext(ctx, "POST", p.URL("web"), strings.NewReader("hello"))
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					cancel()
					t.Fatal(err)
				}
				body, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				cancel()
				if got := string(body) + resp.Header.Get("X-Sluice-Error"); !strings.Contains(got, tc.want) {
					t.Fatalf("got %d %q, due %q", resp.StatusCode, got, tc.want)
				}
			}
		})
	}
}
