package core_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/core"
)

// full returns an exchange in which every variable that can be set is set.
func full(t testing.TB) *core.Exchange {
	x := get(t, "/a%20b/../c?x=1%202&y=", "Content-Type", "text/plain", "X-Forwarded-For", "1.1.1.1", "X-Forwarded-For", "2.2.2.2",
		"Cookie", "sid=abc", "Cookie", "lang=en", "X-Two_Words", "no", "X-User-Id", "me",
		"Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("bob:secret:x")))
	x.Request.Scheme = "https"
	x.Request.Body.SetString("hello")
	x.Response.Status, x.Response.Proto = 200, core.HTTP11
	x.Response.Header.Add("ETag", `"1"`)
	x.Response.Header.Add("Set-Cookie", "node = n1 ; Path=/")
	x.Response.Body.SetString("response")
	x.BytesIn, x.BytesOut, x.BodyBytesOut = 100, 300, 200
	x.Route, x.Upstream = &core.Route{Name: "shop"}, named("pool")
	x.SetID("id-1")
	x.SetVar("tier", "gold")
	x.Captures = append(x.Captures, core.Capture{Name: "id", Value: "42"})
	x.Err = core.Errorf(core.CodeBreakerOpen, "three failures")
	x.Err.Filter = "breaker"
	x.Attempts = append(x.Attempts,
		core.Attempt{Upstream: "pool", Code: core.CodeNoEndpoint, Connect: -1, Header: -1, Total: -1},
		core.Attempt{Upstream: "pool", Endpoint: "10.0.0.1:80", Code: core.CodeTryTimeout, Connect: time.Millisecond, Header: -1,
			Total: 1500 * time.Millisecond, BytesOut: 5},
		core.Attempt{Upstream: "pool", Endpoint: "10.0.0.2:80", Status: 200, Connect: 0, Header: 12 * time.Millisecond,
			Total: 61 * time.Second, BytesIn: 8, BytesOut: 5})
	x.Client.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256, CurveID: tls.X25519,
		ServerName: "shop.example.com", NegotiatedProtocol: "http/1.1", DidResume: true,
		PeerCertificates: []*x509.Certificate{certificate(t)}, VerifiedChains: [][]*x509.Certificate{{}}}
	return x
}

type named string

func (n named) Handle(*core.Exchange) error { return nil }
func (n named) Name() string                { return string(n) }
func (n named) Endpoints() []core.Endpoint  { return nil }

func certificate(t testing.TB) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	subject := pkix.Name{CommonName: "client", Organization: []string{"Acme"}}
	draft := &x509.Certificate{SerialNumber: big.NewInt(0xbeef), Subject: subject}
	der, err := x509.CreateCertificate(rand.Reader, draft, draft, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// values are what the variables of full are.
var values = map[string]string{
	"request": "GET /a%20b/../c?x=1%202&y= HTTP/1.1", "request_method": "GET", "request_uri": "/a%20b/../c?x=1%202&y=",
	"uri": "/c", "document_uri": "/c", "args": "x=1%202&y=", "query_string": "x=1%202&y=", "is_args": "?",
	"arg_x": "1 2", "host": "shop.example.com", "http_host": "Shop.example.com:8080",
	"http_x_forwarded_for": "1.1.1.1, 2.2.2.2", "http_cookie": "sid=abc; lang=en", "http_x_user_id": "me",
	"http_X_User_ID": "me", "cookie_lang": "en", "content_type": "text/plain", "content_length": "5", "request_body": "hello",
	"request_length": "100", "request_id": "id-1", "scheme": "https", "https": "on", "server_protocol": "HTTP/1.1",
	"remote_user": "bob", "proxy_add_x_forwarded_for": "1.1.1.1, 2.2.2.2, 10.1.2.3", "path_id": "42", "var_tier": "gold",
	"remote_addr": "10.1.2.3", "client_ip": "10.1.2.3", "remote_port": "40000", "binary_remote_addr": "\x0a\x01\x02\x03",
	"realip_remote_addr": "192.0.2.7", "realip_remote_port": "50000", "server_addr": "192.0.2.1", "server_port": "8080",
	"server_name": "web", "listener": "web", "connection": "7", "connection_requests": "2",
	"ssl_protocol": "TLSv1.3", "ssl_cipher": "TLS_AES_128_GCM_SHA256", "ssl_curve": "X25519", "ssl_server_name": "shop.example.com",
	"ssl_alpn_protocol": "http/1.1", "ssl_session_reused": "r", "ssl_client_verify": "SUCCESS",
	"ssl_client_s_dn": "CN=client,O=Acme", "ssl_client_i_dn": "CN=client,O=Acme", "ssl_client_serial": "BEEF",
	"status": "200", "bytes_sent": "300", "body_bytes_sent": "200", "request_completion": "OK",
	"sent_http_content_length": "8", "sent_http_etag": `"1"`, "upstream_http_etag": `"1"`, "upstream_cookie_node": "n1",
	"upstream_addr": "pool, 10.0.0.1:80, 10.0.0.2:80", "upstream_status": "503, 504, 200",
	"upstream_connect_time": "-, 0.001, 0.000", "upstream_header_time": "-, -, 0.012",
	"upstream_response_time": "-, 1.500, 61.000", "upstream_response_length": "0, 0, 8", "upstream_bytes_received": "0, 0, 8",
	"upstream_bytes_sent": "0, 5, 5", "route": "shop", "upstream": "pool", "endpoint": "10.0.0.2:80", "attempts": "3",
	"error": "breaker_open", "error_message": "filter breaker: breaker_open: three failures", "error_filter": "breaker",
	"pid": fmt.Sprint(os.Getpid()),
}

// shapes are those whose value is not the same in every run.
var shapes = map[string]string{
	"request_time": `^\d+\.\d{3}$`, "msec": `^\d{10}\.\d{3}$`,
	"time_local":   `^\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}$`,
	"time_iso8601": `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d$`, "hostname": `.`,
	"ssl_client_fingerprint": `^[0-9a-f]{40}$`, "ssl_client_escaped_cert": `^-----BEGIN%20CERTIFICATE-----%0A[^\s"]+$`,
}

func TestVariables(t *testing.T) {
	x := full(t)
	check := func(name string, right func(string) bool, due string) {
		v, ok := core.LookupVar(name)
		if !ok {
			t.Errorf("$%s is not known", name)
			return
		}
		got, isSet := v.Get(x)
		if !right(got) || !isSet {
			t.Errorf("$%s is %q %v, due %q", name, got, isSet, due)
		}
		if appended := string(v.Append([]byte("> "), x)); !right(strings.TrimPrefix(appended, "> ")) {
			t.Errorf("$%s appended: %q, due %q", name, appended, due)
		}
	}
	for name, due := range values {
		check(name, func(got string) bool { return got == due }, due)
	}
	for name, due := range shapes {
		check(name, regexp.MustCompile(due).MatchString, due)
	}
}

func TestEveryVariableIsDocumentedTestedAndFitForAConditionAndATemplate(t *testing.T) {
	seen := map[string]bool{}
	for _, info := range core.Variables() {
		if info.Doc == "" || seen[info.Name] {
			t.Errorf("%s: doc %q, given before %v", info.Name, info.Doc, seen[info.Name])
		}
		seen[info.Name] = true
		prefix, family := strings.CutSuffix(info.Name, "NAME")
		tested := false
		for _, table := range []map[string]string{values, shapes} {
			for name := range table {
				tested = tested || name == info.Name || family && strings.HasPrefix(name, prefix)
			}
		}
		if !tested {
			t.Errorf("$%s has no value in this test", info.Name)
		}
		compare := map[core.VarType]string{core.VarText: ` != "x"`, core.VarInteger: " != -1", core.VarSeconds: " < -1.5 or true"}[info.Type]
		c, err := core.ParseCondition(info.Name + compare)
		if err != nil {
			t.Errorf("$%s in a condition: %v", info.Name, err)
			continue
		}
		if ok, err := c.Eval(get(t, "/")); !ok || err != nil {
			t.Errorf("%s: %v %v, due true", c, ok, err)
		}
		template(t, "$"+info.Name)
	}
}

func TestUnsetVariablesAreUnset(t *testing.T) {
	x := core.NewExchange(nil, nil)
	for name := range values {
		switch name {
		case "request_id", "pid", "request_length", "bytes_sent", "body_bytes_sent", "attempts":
			continue // always there
		}
		v, _ := core.LookupVar(name)
		if got, ok := v.Get(x); got != "" || ok {
			t.Errorf("$%s is %q %v on an empty exchange, due unset", name, got, ok)
		}
		if got := v.Append(nil, x); len(got) != 0 {
			t.Errorf("$%s appends %q on an empty exchange", name, got)
		}
	}
}

func TestUnknownNamesAreNoVariables(t *testing.T) {
	for _, name := range []string{"", "nope", "http_", "arg_", "path_", "HOST", "http", "$host"} {
		if v, ok := core.LookupVar(name); ok {
			t.Errorf("%q is %+v, due unknown", name, v)
		}
	}
	var zero core.Var
	if got, ok := zero.Get(get(t, "/")); got != "" || ok || zero.Set(get(t, "/"), "x") == nil || len(zero.Append(nil, nil)) != 0 {
		t.Errorf("the zero variable is %q %v", got, ok)
	}
}

func TestAFieldWithAnUnderscoreDoesNotPassForOneWithAHyphen(t *testing.T) {
	x := get(t, "/", "X_User", "admin")
	if v, ok := x.Var("http_x_user"); ok {
		t.Errorf("$http_x_user is %q from the field X_User, due unset", v)
	}
}

func TestWithoutAnAnswerFromAnEndpointThereAreNoUpstreamFields(t *testing.T) {
	x := get(t, "/")
	x.Respond(503, "text/plain", "no")
	x.Response.Header.Add("Set-Cookie", "node=n1")
	for name, due := range map[string]string{"sent_http_content_type": "text/plain", "upstream_http_content_type": "", "upstream_cookie_node": ""} {
		if got, _ := x.Var(name); got != due {
			t.Errorf("$%s is %q, due %q", name, got, due)
		}
	}
}

func TestRemoteUserIsOnlyThatOfBasicAuthentication(t *testing.T) {
	for value, due := range map[string]string{
		"Basic Ym9iOng=": "bob", "basic  Ym9iOg==": "bob", "Bearer Ym9iOng=": "", "Basic ???": "", "Basic": "", "Basic Ym9i": "", "Basic Ong=": "",
	} {
		if got, _ := get(t, "/", "Authorization", value).Var("remote_user"); got != due {
			t.Errorf("%q: user %q, due %q", value, got, due)
		}
	}
}

func TestTheClientCertificateIsVerifiedOrNot(t *testing.T) {
	cert := []*x509.Certificate{certificate(t)}
	for due, state := range map[string]*tls.ConnectionState{
		"": nil, "NONE": {}, "FAILED": {PeerCertificates: cert}, "SUCCESS": {PeerCertificates: cert, VerifiedChains: [][]*x509.Certificate{cert}},
	} {
		x := get(t, "/")
		x.Client.TLS = state
		if got, _ := x.Var("ssl_client_verify"); got != due {
			t.Errorf("%q, due %q", got, due)
		}
	}
}

func TestNamesKnownOnlyAtRunTime(t *testing.T) {
	x := full(t)
	x.SetVar("both", "set")
	x.Captures = append(x.Captures, core.Capture{Name: "both", Value: "captured"}, core.Capture{Name: "host", Value: "captured"})
	for name, due := range map[string]string{
		"host": "shop.example.com", "arg_x": "1 2", "tier": "gold", "id": "42", "both": "set", "var_both": "set", "path_both": "captured",
	} {
		if got, ok := x.Var(name); got != due || !ok {
			t.Errorf("%s is %q %v, due %q", name, got, ok, due)
		}
	}
	if got, ok := x.Var("nobody"); ok {
		t.Errorf("nobody is %q", got)
	}
}

func TestSetVariable(t *testing.T) {
	for _, c := range []struct{ name, value, read, due string }{
		{"args", "a=1&b=%20", "args", "a=1&b=%20"},
		{"args", "", "is_args", ""},
		{"query_string", "q", "args", "q"},
		{"uri", "/new path/?#", "uri", "/new path/?#"},
		{"uri", "/a/../b//c", "uri", "/b/c"},
		{"document_uri", "/d", "uri", "/d"},
		{"mine", "1", "var_mine", "1"},
		{"var_mine", "2", "mine", "2"},
	} {
		x := get(t, "/old?old=1")
		if err := x.SetVariable(c.name, c.value); err != nil {
			t.Errorf("set %s to %q: %v", c.name, c.value, err)
		}
		if got, _ := x.Var(c.read); got != c.due {
			t.Errorf("set %s to %q: %s is %q, due %q", c.name, c.value, c.read, got, c.due)
		}
		if raw := string(x.Request.AppendTarget(nil)); strings.ContainsAny(raw, " #\r\n") {
			t.Errorf("set %s to %q: the target is %q", c.name, c.value, raw)
		}
	}
	x := get(t, "/old?old=1")
	for name, c := range map[string][2]string{
		"status": {"200", "variable $status is read only"}, "arg_a": {"1", "variable $arg_a is read only"},
		"path_id": {"1", "variable $path_id is read only"}, "uri": {"new", `variable $uri: "new" does not begin with a slash`},
		"args": {"a=1 HTTP/1.1\r\nEvil: 1", `variable $args: byte 4 of "a=1 HTTP/1.1\r\nEvil: 1" must be escaped: write %20`},
	} {
		if err := x.SetVariable(name, c[0]); err == nil || err.Error() != c[1] {
			t.Errorf("set %s to %q: %v, due %s", name, c[0], err, c[1])
		}
	}
	if got := string(x.Request.AppendTarget(nil)); got != "/old?old=1" {
		t.Errorf("a refused value changed the target to %q", got)
	}
}
