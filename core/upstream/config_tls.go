package upstream

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/sluiceproxy/sluice/core/certs"
	"github.com/sluiceproxy/sluice/core/transport"
)

// TLS says how the connections to the endpoints are encrypted.
type TLS struct {
	// CA is a PEM file with the authorities that the endpoints' certificates must be from. Default
	// the system's.
	CA string `yaml:"ca"`
	// Cert is a PEM file with the certificate shown to the endpoints. Default: none.
	Cert string `yaml:"cert"`
	// Key is the PEM file with the key of cert.
	Key string `yaml:"key"`
	// ServerName is the name that the certificates must be for, sent as SNI. Default: the host of
	// the endpoint's address.
	ServerName string `yaml:"server_name"`
	// Insecure accepts any certificate. With pins it must still be one of those. Default: false.
	Insecure bool `yaml:"insecure"`
	// MinVersion is the lowest version spoken: 1.2 or 1.3. Default: 1.2.
	MinVersion string `yaml:"min_version" enum:"1.2,1.3"`
	// Pins are SHA-256 sums of public keys (SubjectPublicKeyInfo), in base64 as HTTP Public Key
	// Pinning has them (RFC 7469 2.4). One certificate of the chain must have one of them; with
	// insecure, the endpoint's own. Default: none.
	Pins []string `yaml:"pins"`
}

// Validate implements core.Validator.
func (t *TLS) Validate() error {
	if (t.Cert == "") != (t.Key == "") {
		return errors.New("tls.cert and tls.key go together: give both or none")
	}
	if v := t.MinVersion; v != "" && v != "1.2" && v != "1.3" {
		return fmt.Errorf("tls.min_version is %q: write 1.2 or 1.3", v)
	}
	for _, pin := range t.Pins {
		if sum, err := base64.StdEncoding.DecodeString(pin); err != nil || len(sum) != sha256.Size {
			return fmt.Errorf("tls.pins: %q is not the base64 of a SHA-256 sum, such as "+
				"d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM=", pin)
		}
	}
	return nil
}

var protocols = map[string]transport.Protocol{
	"":      transport.HTTP1,
	"http1": transport.HTTP1,
	"h2":    transport.H2,
	"h2c":   transport.H2C,
	"auto":  transport.Auto,
}

// transportConfig is how endpoints are reached, and a key that is the same as long as that is.
type transportConfig struct {
	transport.Config
	key string
}

func (c *Config) transport(log *slog.Logger) (*transportConfig, error) {
	out := &transportConfig{Config: transport.Config{
		Connect:  c.Timeout.Connect.Std(),
		Try:      c.Timeout.Try.Std(),
		Idle:     c.Timeout.Idle.Std(),
		KeepIdle: c.Pool.Idle,
		KeepFor:  c.Pool.IdleTimeout.Std(),
		MaxConns: c.Limits.EndpointConnections,
		Protocol: protocols[c.Protocol],
	}}
	out.key = fmt.Sprintf("%+v", out.Config)
	out.Log = log
	if c.TLS == nil {
		return out, nil
	}
	conf, err := c.TLS.clientConfig(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	files, err := c.TLS.digest(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	out.TLS = conf
	out.key += fmt.Sprintf("%+v %x", *c.TLS, files)
	return out, nil
}

func (t *TLS) clientConfig(dir string) (*tls.Config, error) {
	conf, err := certs.ClientConfig(certs.Client{
		CA: t.CA, Cert: t.Cert, Key: t.Key,
		ServerName: t.ServerName, Insecure: t.Insecure, MinVersion: t.MinVersion,
	}, dir)
	if err != nil {
		return nil, err
	}
	if len(t.Pins) > 0 {
		conf.VerifyConnection = t.checkPins
	}
	return conf, nil
}

// checkPins looks at the chains that were verified. Without verification only the endpoint's own
// certificate is proven to be its own; whatever else it sent proves nothing.
func (t *TLS) checkPins(state tls.ConnectionState) error {
	chains := state.VerifiedChains
	if len(chains) == 0 {
		chains = [][]*x509.Certificate{state.PeerCertificates[:1]}
	}
	for _, chain := range chains {
		if slices.ContainsFunc(chain, t.pinned) {
			return nil
		}
	}
	return errors.New("no certificate of the endpoint's has a key that is pinned")
}

func (t *TLS) pinned(cert *x509.Certificate) bool {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return slices.Contains(t.Pins, base64.StdEncoding.EncodeToString(sum[:]))
}

// digest sums up the files: a certificate that was renewed makes the settings new.
func (t *TLS) digest(dir string) ([]byte, error) {
	sum := sha256.New()
	for _, file := range []string{t.CA, t.Cert, t.Key} {
		if file == "" {
			continue
		}
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, file)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(sum, "%d\n", len(text))
		sum.Write(text)
	}
	return sum.Sum(nil), nil
}
