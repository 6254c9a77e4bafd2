package core

import (
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"net/url"
	"strings"
)

// All of them are unset on a connection without TLS.
var tlsVars = []varDef{
	{name: "ssl_protocol", doc: "version of TLS, such as TLSv1.3", text: onTLS(tlsVersion)},
	{name: "ssl_cipher", doc: "cipher suite by its IANA name",
		text: onTLS(func(s *tls.ConnectionState) string { return tls.CipherSuiteName(s.CipherSuite) })},
	{name: "ssl_curve", doc: "key exchange, such as X25519MLKEM768", text: onTLS(func(s *tls.ConnectionState) string {
		if s.CurveID == 0 {
			return ""
		}
		return s.CurveID.String()
	})},
	{name: "ssl_server_name", doc: "name that the client asked for by SNI",
		text: onTLS(func(s *tls.ConnectionState) string { return s.ServerName })},
	{name: "ssl_alpn_protocol", doc: "protocol chosen by ALPN, such as h2",
		text: onTLS(func(s *tls.ConnectionState) string { return s.NegotiatedProtocol })},
	{name: "ssl_session_reused", doc: "\"r\" when a session was resumed, \".\" when not",
		text: onTLS(func(s *tls.ConnectionState) string {
			if s.DidResume {
				return "r"
			}
			return "."
		})},
	{name: "ssl_client_verify", doc: "SUCCESS, NONE (no client certificate) or FAILED", text: onTLS(clientVerify)},
	{name: "ssl_client_s_dn", doc: "subject of the client certificate (RFC 2253)",
		text: onCert(func(c *x509.Certificate) string { return c.Subject.String() })},
	{name: "ssl_client_i_dn", doc: "issuer of the client certificate (RFC 2253)",
		text: onCert(func(c *x509.Certificate) string { return c.Issuer.String() })},
	{name: "ssl_client_serial", doc: "serial number of the client certificate, hexadecimal",
		text: onCert(func(c *x509.Certificate) string { return strings.ToUpper(c.SerialNumber.Text(16)) })},
	{name: "ssl_client_fingerprint", doc: "SHA-1 of the client certificate, hexadecimal",
		text: onCert(func(c *x509.Certificate) string {
			sum := sha1.Sum(c.Raw)
			return hex.EncodeToString(sum[:])
		})},
	{name: "ssl_client_escaped_cert", doc: "client certificate as PEM, escaped for use in a field or URL",
		text: onCert(func(c *x509.Certificate) string {
			return url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})))
		})},
}

func onTLS(read func(*tls.ConnectionState) string) func(*Exchange) (string, bool) {
	return func(x *Exchange) (string, bool) {
		if x.Client.TLS == nil {
			return "", false
		}
		return set(read(x.Client.TLS))
	}
}

func onCert(read func(*x509.Certificate) string) func(*Exchange) (string, bool) {
	return onTLS(func(s *tls.ConnectionState) string {
		if len(s.PeerCertificates) == 0 {
			return ""
		}
		return read(s.PeerCertificates[0])
	})
}

func tlsVersion(s *tls.ConnectionState) string {
	switch s.Version {
	case tls.VersionTLS10:
		return "TLSv1"
	case tls.VersionTLS11:
		return "TLSv1.1"
	case tls.VersionTLS12:
		return "TLSv1.2"
	case tls.VersionTLS13:
		return "TLSv1.3"
	}
	return ""
}

func clientVerify(s *tls.ConnectionState) string {
	switch {
	case len(s.PeerCertificates) == 0:
		return "NONE"
	case len(s.VerifiedChains) == 0:
		return "FAILED"
	}
	return "SUCCESS"
}
