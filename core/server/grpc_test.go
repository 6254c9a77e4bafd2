package server_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sluiceproxy/sluice/sdk/proxytest"
)

// chat is a gRPC service of strings, described by hand so that nothing has to be generated.
var chat = grpc.ServiceDesc{
	ServiceName: "test.Chat",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Say", Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		var in wrapperspb.StringValue
		if err := decode(&in); err != nil {
			return nil, err
		}
		grpc.SetTrailer(ctx, metadata.Pairs("x-trailer", "said"))
		if in.Value == "fail" {
			return nil, status.Error(codes.FailedPrecondition, "as asked")
		}
		return wrapperspb.String("you said " + in.Value), nil
	}}},
	Streams: []grpc.StreamDesc{
		{StreamName: "Talk", ServerStreams: true, ClientStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
			for {
				var in wrapperspb.StringValue
				err := s.RecvMsg(&in)
				if errors.Is(err, io.EOF) {
					s.SetTrailer(metadata.Pairs("x-trailer", "talked"))
					return nil
				}
				if err != nil {
					return err
				}
				if err := s.SendMsg(wrapperspb.String("heard " + in.Value)); err != nil {
					return err
				}
			}
		}},
		{StreamName: "Wait", ServerStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
			var in wrapperspb.StringValue
			if err := s.RecvMsg(&in); err != nil {
				return err
			}
			if err := s.SendMsg(wrapperspb.String("waiting")); err != nil {
				return err
			}
			<-s.Context().Done()
			waited <- struct{}{}
			return s.Context().Err()
		}},
	},
}

var waited = make(chan struct{}, 1)

func chatServer(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	s.RegisterService(&chat, nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Serve(ln)
	}()
	t.Cleanup(func() {
		s.Stop()
		<-done
	})
	return ln.Addr().String()
}

func TestGRPCPassesWithItsStreamsAndTrailers(t *testing.T) {
	a := newAuthority(t)
	a.issue(t, "one", "one.example")
	origin := chatServer(t)
	for _, tc := range []struct {
		name, settings string
		creds          credentials.TransportCredentials
	}{
		{"h2c", "", insecure.NewCredentials()},
		{"tls", fmt.Sprintf(", tls: {certificates: [{cert: %[1]s/one.pem, key: %[1]s/one.key}]}", a.dir),
			credentials.NewTLS(&tls.Config{RootCAs: a.pool(), ServerName: "one.example"})},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := proxytest.Start(t, fmt.Sprintf(`
listeners: {web: {address: "127.0.0.1:0"%s}}
routes: [{name: all, to: chat}]
upstreams: {chat: {endpoints: ["%s"], protocol: h2c}}
`, tc.settings, origin))
			conn, err := grpc.NewClient("passthrough:///"+p.Addr("web"), grpc.WithTransportCredentials(tc.creds))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			testUnary(ctx, t, conn)
			testTalk(ctx, t, conn)
			testCancel(ctx, t, conn)
		})
	}
}

func testUnary(ctx context.Context, t *testing.T, conn *grpc.ClientConn) {
	var out wrapperspb.StringValue
	var trailer metadata.MD
	big := strings.Repeat("x", 300_000)
	if err := conn.Invoke(ctx, "/test.Chat/Say", wrapperspb.String(big), &out, grpc.Trailer(&trailer)); err != nil {
		t.Fatal(err)
	}
	if out.Value != "you said "+big || fmt.Sprint(trailer["x-trailer"]) != "[said]" {
		t.Errorf("got %d bytes and trailer %v", len(out.Value), trailer)
	}
	err := conn.Invoke(ctx, "/test.Chat/Say", wrapperspb.String("fail"), &out)
	if s := status.Convert(err); s.Code() != codes.FailedPrecondition || s.Message() != "as asked" {
		t.Errorf("got %v, due FailedPrecondition: as asked", err)
	}
}

func testTalk(ctx context.Context, t *testing.T, conn *grpc.ClientConn) {
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/test.Chat/Talk")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		var out wrapperspb.StringValue
		if err := s.SendMsg(wrapperspb.String(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
		if err := s.RecvMsg(&out); err != nil || out.Value != fmt.Sprintf("heard %d", i) {
			t.Fatalf("message %d: got %q, %v", i, out.Value, err)
		}
	}
	s.CloseSend()
	if err := s.RecvMsg(new(wrapperspb.StringValue)); err != io.EOF || fmt.Sprint(s.Trailer()["x-trailer"]) != "[talked]" {
		t.Errorf("at the end: %v, trailer %v", err, s.Trailer())
	}
}

// A client that cancels must reach the server: it would wait for ever.
func testCancel(ctx context.Context, t *testing.T, conn *grpc.ClientConn) {
	ctx, cancel := context.WithCancel(ctx)
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/test.Chat/Wait")
	if err != nil {
		t.Fatal(err)
	}
	var out wrapperspb.StringValue
	if err := errors.Join(s.SendMsg(wrapperspb.String("")), s.CloseSend(), s.RecvMsg(&out)); err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case <-waited:
	case <-time.After(10 * time.Second):
		t.Error("the server was not told that the client has cancelled")
	}
}
