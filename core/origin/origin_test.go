package origin_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/origin"
)

// start runs an origin on a free port and returns its address.
func start(t *testing.T, c origin.Config) string {
	t.Helper()
	c.Listen = []string{"127.0.0.1:0"}
	o, err := origin.Start(c)
	if err != nil {
		t.Fatalf("Start(%+v): %v", c, err)
	}
	t.Cleanup(o.Close)
	return o.Addresses()[0]
}

// client does not keep connections, so that closing an origin waits for none.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatalf("GET %s: %v", url, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("GET %s: body: %v", url, err)
	}
	return resp, string(body)
}

func TestAnswersAsConfigured(t *testing.T) {
	for name, c := range map[string]struct {
		config origin.Config
		status int
		length int64
		body   string
	}{
		"text and status": {origin.Config{Text: "teapot\n", Status: 418}, 418, 7, "teapot\n"},
		"a name":          {origin.Config{Name: "shop-a"}, 200, 18, "hello from shop-a\n"},
		"a size":          {origin.Config{Size: 20}, 200, 20, "0123456789abcdef0123"},
		"chunked":         {origin.Config{Text: "in pieces", Chunked: true}, 200, -1, "in pieces"},
		"always failing":  {origin.Config{FailureRate: 1}, 503, 18, "failed on purpose\n"},
	} {
		t.Run(name, func(t *testing.T) {
			resp, body := get(t, "http://"+start(t, c.config))
			if resp.StatusCode != c.status || resp.ContentLength != c.length || body != c.body {
				t.Errorf("came %d, length %d, %q; due %d, length %d, %q",
					resp.StatusCode, resp.ContentLength, body, c.status, c.length, c.body)
			}
		})
	}
}

func TestEveryAddressAnswersUnderItsOwnName(t *testing.T) {
	o, err := origin.Start(origin.Config{Listen: []string{"127.0.0.1:0", "127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	for _, address := range o.Addresses() {
		resp, body := get(t, "http://"+address)
		if got := resp.Header.Get("X-Origin"); got != address {
			t.Errorf("%s: X-Origin %q, due %q", address, got, address)
		}
		if due := "hello from " + address + "\n"; body != due {
			t.Errorf("%s: body %q, due %q", address, body, due)
		}
	}
}

func TestResetsBreakTheConnectionBeforeAnAnswer(t *testing.T) {
	address := start(t, origin.Config{ResetRate: 1})
	resp, err := client.Get("http://" + address)
	if err == nil {
		resp.Body.Close()
		t.Fatalf("came status %d, due a broken connection", resp.StatusCode)
	}
	if !strings.Contains(err.Error(), "reset") && !strings.Contains(err.Error(), "EOF") {
		t.Errorf("came %v, due a reset", err)
	}
}

func TestLatencyIsWaitedFor(t *testing.T) {
	address := start(t, origin.Config{Latency: core.Duration(60 * time.Millisecond), Jitter: core.Duration(20 * time.Millisecond)})
	begin := time.Now()
	get(t, "http://"+address)
	if took := time.Since(begin); took < 40*time.Millisecond {
		t.Errorf("the answer took %v, due 40ms at least", took)
	}
}

func TestEchoRepeatsTheRequest(t *testing.T) {
	address := start(t, origin.Config{Echo: true, Name: "echo"})
	resp, err := client.Post("http://"+address+"/a/b?c=d", "text/x-test", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var e origin.Echo
	if err := json.NewDecoder(resp.Body).Decode(&e); err != nil {
		t.Fatalf("the answer is not JSON: %v", err)
	}
	if e.Origin != "echo" || e.Method != "POST" || e.Target != "/a/b?c=d" || e.Host != address ||
		e.Body != "hello" || e.BodySize != 5 || e.Header["Content-Type"][0] != "text/x-test" {
		t.Errorf("sent POST /a/b?c=d with hello, came %+v", e)
	}
}

func TestStreamSendsEventsAsTheyHappen(t *testing.T) {
	address := start(t, origin.Config{Stream: true, Tick: core.Duration(time.Hour)})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://"+address, nil)
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	if err != nil || line != "event: tick\n" {
		t.Errorf("first line of the stream %q, %v; due %q while the second tick is an hour away", line, err, "event: tick\n")
	}
}

func TestStreamEndsAfterItsTicks(t *testing.T) {
	_, body := get(t, "http://"+start(t, origin.Config{Stream: true, Ticks: 3, Tick: core.Duration(time.Millisecond)}))
	if n := strings.Count(body, "event: tick\n"); n != 3 {
		t.Errorf("%d events came, due 3:\n%s", n, body)
	}
}

func dial(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestGRPCUnaryCallsAreEchoed(t *testing.T) {
	conn := dial(t, start(t, origin.Config{GRPC: true}))
	var reply wrapperspb.StringValue
	if err := conn.Invoke(t.Context(), "/demo.Echo/Say", wrapperspb.String("hello"), &reply); err != nil {
		t.Fatalf("Say(hello): %v", err)
	}
	if reply.Value != "hello" {
		t.Errorf("Say(hello) = %q, due hello", reply.Value)
	}
}

func TestGRPCServerStreamsRepeatTheMessage(t *testing.T) {
	conn := dial(t, start(t, origin.Config{GRPC: true}))
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-origin-repeat", "3")
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/demo.Echo/Watch")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg(wrapperspb.String("tick")); err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		var m wrapperspb.StringValue
		err := stream.RecvMsg(&m)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("after %d messages: %v", len(got), err)
		}
		got = append(got, m.Value)
	}
	if strings.Join(got, ",") != "tick,tick,tick" {
		t.Errorf("came %v, due tick three times", got)
	}
}

func TestGRPCStreamsBothWaysAnswerWhileTheClientStillSends(t *testing.T) {
	conn := dial(t, start(t, origin.Config{GRPC: true}))
	stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/demo.Echo/Chat")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		sent := strconv.Itoa(i)
		if err := stream.SendMsg(wrapperspb.String(sent)); err != nil {
			t.Fatal(err)
		}
		var m wrapperspb.StringValue
		if err := stream.RecvMsg(&m); err != nil || m.Value != sent {
			t.Fatalf("sent %q, came %q, %v", sent, m.Value, err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(new(wrapperspb.StringValue)); err != io.EOF {
		t.Errorf("after CloseSend came %v, due io.EOF", err)
	}
}

func TestTLSOffersHTTP2(t *testing.T) {
	cert, key := writeCertificate(t)
	address := start(t, origin.Config{TLSCert: cert, TLSKey: key})
	h2 := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true, DisableKeepAlives: true,
	}}
	resp, err := h2.Get("https://" + address)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.ProtoMajor != 2 {
		t.Errorf("came %s, due HTTP/2.0", resp.Proto)
	}
}

func TestWrongConfigurationsAreRefused(t *testing.T) {
	taken := start(t, origin.Config{})
	for name, c := range map[string]struct {
		config origin.Config
		due    string
	}{
		"a status that is not final": {origin.Config{Status: 100}, "status 100"},
		"rates above 100%":           {origin.Config{FailureRate: 0.6, ResetRate: 0.6}, "more than 100%"},
		"a certificate without key":  {origin.Config{TLSCert: "a.pem"}, "both"},
		"a missing certificate":      {origin.Config{TLSCert: "missing.pem", TLSKey: "missing.key"}, "missing.pem"},
		"stream and echo":            {origin.Config{Stream: true, Echo: true}, "either"},
		"a port that is taken":       {origin.Config{Listen: []string{"127.0.0.1:0", taken}}, "address already in use"},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := origin.Start(c.config)
			if err == nil {
				o.Close()
				t.Fatalf("started, due an error with %q", c.due)
			}
			if !strings.Contains(err.Error(), c.due) {
				t.Errorf("came %q, due an error with %q", err, c.due)
			}
		})
	}
}
