package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ServerConfig is the tls: of a listener.
type ServerConfig struct {
	// Certificates to choose from by the name that the client asks for (SNI): one with the exact
	// name, then one with a wildcard, then the first.
	Certificates []Pair `yaml:"certificates,required"`
	// ClientCA is a PEM file with the authorities that client certificates are checked against.
	// Default: none.
	ClientCA string `yaml:"client_ca"`
	// ClientAuth says whether clients need a certificate: none, request (ask, check nothing),
	// optional (check it when there is one), require. Default: require with client_ca, else none.
	ClientAuth string `yaml:"client_auth" enum:"none,request,optional,require"`
	// MinVersion is the lowest TLS version: 1.2 or 1.3. Default: 1.2.
	MinVersion string `yaml:"min_version" enum:"1.2,1.3"`
}

// Pair is a certificate with its key.
type Pair struct {
	// Cert is a PEM file with the certificate, and those between it and the authority.
	Cert string `yaml:"cert,required"`
	// Key is a PEM file with the private key.
	Key string `yaml:"key,required"`
}

// Validate implements core.Validator.
func (c *ServerConfig) Validate() error {
	if len(c.Certificates) == 0 {
		return errors.New("no certificates: name at least one {cert: FILE, key: FILE}")
	}
	if c.ClientCA == "" && (c.ClientAuth == "optional" || c.ClientAuth == "require") {
		return fmt.Errorf("client_auth: %s needs client_ca", c.ClientAuth)
	}
	return nil
}

func (c *ServerConfig) clientAuth() tls.ClientAuthType {
	switch c.ClientAuth {
	case "request":
		return tls.RequestClientCert
	case "optional":
		return tls.VerifyClientCertIfGiven
	case "require":
		return tls.RequireAndVerifyClientCert
	case "":
		if c.ClientCA != "" {
			return tls.RequireAndVerifyClientCert
		}
	}
	return tls.NoClientCert
}

// Client says how to speak TLS to an endpoint.
type Client struct {
	CA         string // PEM file with authorities; "" for the system's
	Cert, Key  string // PEM files of the proxy's own certificate; "" for none
	ServerName string // expected in the endpoint's certificate; "" for the endpoint's host
	Insecure   bool   // check nothing
	MinVersion string // 1.2 or 1.3; "" for 1.2
}

// ClientConfig loads what c names. Relative files are relative to dir.
func ClientConfig(c Client, dir string) (*tls.Config, error) {
	cfg := &tls.Config{
		ServerName:         c.ServerName,
		InsecureSkipVerify: c.Insecure,
		MinVersion:         version(c.MinVersion),
		ClientSessionCache: tls.NewLRUClientSessionCache(64),
	}
	if c.CA != "" {
		pool, err := loadPool(resolve(dir, c.CA))
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		cfg.RootCAs = pool
	}
	if (c.Cert == "") != (c.Key == "") {
		return nil, errors.New("cert and key go together: name both or neither")
	}
	if c.Cert != "" {
		pair, err := loadPair(resolve(dir, c.Cert), resolve(dir, c.Key))
		if err != nil {
			return nil, err
		}
		cfg.Certificates = []tls.Certificate{*pair}
	}
	return cfg, nil
}

func version(s string) uint16 {
	if s == "1.3" {
		return tls.VersionTLS13
	}
	return tls.VersionTLS12
}

func resolve(dir, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dir, name)
}

func loadPool(file string) (*x509.CertPool, error) {
	raw, err := readFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(raw) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", file)
	}
	return pool, nil
}

func loadPair(cert, key string) (*tls.Certificate, error) {
	certPEM, err := readFile(cert)
	if err != nil {
		return nil, fmt.Errorf("cert: %w", err)
	}
	keyPEM, err := readFile(key)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %s", cert, key, strings.TrimPrefix(err.Error(), "tls: "))
	}
	return &pair, nil
}

func readFile(name string) ([]byte, error) {
	raw, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s does not exist", name)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%s may not be read by this user", name)
	case err != nil:
		return nil, err
	}
	return raw, nil
}
