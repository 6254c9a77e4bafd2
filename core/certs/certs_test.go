package certs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/core/certs"
)

// issue writes NAME.pem and NAME.key, self-signed, to dir.
func issue(t *testing.T, dir, name string, until time.Duration, hosts ...string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: hosts,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(until)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, name+".pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, filepath.Join(dir, name+".key"), string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})))
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func pair(name string) certs.Pair { return certs.Pair{Cert: name + ".pem", Key: name + ".key"} }

func TestMistakesNameTheFileAndWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	issue(t, dir, "a", time.Hour, "a.example")
	issue(t, dir, "b", time.Hour, "b.example")
	write(t, filepath.Join(dir, "text.pem"), "no certificate")
	for want, c := range map[string]*certs.ServerConfig{
		"tls.certificates[0]: cert: " + filepath.Join(dir, "none.pem") + " does not exist": {Certificates: []certs.Pair{pair("none")}},
		"private key does not match public key":                                            {Certificates: []certs.Pair{{Cert: "a.pem", Key: "b.key"}}},
		"failed to find any PEM data in certificate input":                                 {Certificates: []certs.Pair{{Cert: "text.pem", Key: "a.key"}}},
		"tls.client_ca: " + filepath.Join(dir, "text.pem") + " holds no certificate":       {Certificates: []certs.Pair{pair("a")}, ClientCA: "text.pem"},
	} {
		s, err := certs.NewServer(c, dir, nil, slog.Default())
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, due %s", err, want)
		}
	}
	for want, c := range map[string]certs.Client{
		"ca: " + filepath.Join(dir, "none") + " does not exist": {CA: "none"},
		"cert and key go together":                              {Cert: "a.pem"},
		"private key does not match":                            {Cert: "a.pem", Key: "b.key"},
	} {
		if _, err := certs.ClientConfig(c, dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, due %s", err, want)
		}
	}
	for want, c := range map[string]certs.ServerConfig{
		"no certificates": {},
		"needs client_ca": {Certificates: []certs.Pair{pair("a")}, ClientAuth: "require"},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, due %s", err, want)
		}
	}
}

// chosen returns the name of the certificate that a client asking for host is shown.
func chosen(t *testing.T, s *certs.Server, host string) string {
	t.Helper()
	cfg, err := s.TLSConfig().GetConfigForClient(nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := cfg.GetCertificate(&tls.ClientHelloInfo{ServerName: host})
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf.Subject.CommonName
}

func TestCertificatesAreChosenByNameThenWildcardThenTheFirst(t *testing.T) {
	dir := t.TempDir()
	issue(t, dir, "first", time.Hour, "first.example")
	issue(t, dir, "wild", time.Hour, "*.wild.example")
	issue(t, dir, "exact", time.Hour, "Exact.wild.example")
	s, err := certs.NewServer(&certs.ServerConfig{Certificates: []certs.Pair{pair("first"), pair("wild"), pair("exact")}}, dir, nil, slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for host, want := range map[string]string{"first.example": "first", "exact.wild.example": "exact", "EXACT.wild.example.": "exact",
		"other.wild.example": "wild", "a.b.wild.example": "first", "": "first"} {
		if got := chosen(t, s, host); got != want {
			t.Errorf("%q is shown %s, due %s", host, got, want)
		}
	}
}

func TestAReloadThatFailsLeavesTheFormerCertificatesInUse(t *testing.T) {
	dir := t.TempDir()
	issue(t, dir, "a", time.Hour, "a.example")
	var log strings.Builder
	s, err := certs.NewServer(&certs.ServerConfig{Certificates: []certs.Pair{pair("a")}}, dir, nil, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	write(t, filepath.Join(dir, "a.key"), "half a key")
	if err := s.Reload(); err == nil || chosen(t, s, "a.example") != "a" {
		t.Errorf("reload of a broken key: %v", err)
	}
	issue(t, dir, "a", -time.Minute, "a.example")
	if err := s.Reload(); err != nil || !strings.Contains(log.String(), "certificate has expired") {
		t.Errorf("reload of an expired certificate: %v, log %q", err, log.String())
	}
}
