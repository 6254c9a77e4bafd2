package main

import (
	"context"
	"encoding"
	"fmt"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/core/origin"
)

func originCommand() *cobra.Command {
	var c origin.Config
	cmd := &cobra.Command{
		Use:   "origin",
		Short: "Run a small test origin",
		Long: `Run a small HTTP server to put behind the proxy. It answers with a text, an echo
of the request, a stream or gRPC; late, failing or broken if told so.`,
		Example: `  sluice origin --listen 127.0.0.1:9001 --listen 127.0.0.1:9002 --latency 20ms --jitter 10ms
  sluice origin --failure-rate 10% --reset-rate 1%
  sluice origin --grpc`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runOrigin(cmd, c) },
	}
	f := cmd.Flags()
	f.StringArrayVar(&c.Listen, "listen", nil, "address to listen on, may be repeated (default 127.0.0.1:9000)")
	f.StringVar(&c.Name, "name", "", "what the header X-Origin says (default the address)")
	f.StringVar(&c.Text, "text", "", "body of the answer (default a greeting)")
	f.IntVar(&c.Status, "status", 200, "status of the answer")
	f.Var(textFlag{&c.Size, "size"}, "size", "answer with a body of that size, such as 64k")
	f.Var(textFlag{&c.Latency, "duration"}, "latency", "time that an answer takes, such as 20ms")
	f.Var(textFlag{&c.Jitter, "duration"}, "jitter", "how much the latency may be off, either way")
	f.Var(textFlag{&c.FailureRate, "percent"}, "failure-rate", "share of requests answered with 503, such as 10%")
	f.Var(textFlag{&c.ResetRate, "percent"}, "reset-rate", "share of requests cut off by a reset")
	f.BoolVar(&c.Chunked, "chunked", false, "send the body in pieces, without its length")
	f.BoolVar(&c.Stream, "stream", false, "answer with server-sent events")
	f.Var(textFlag{&c.Tick, "duration"}, "tick", "time between two events of --stream (default 1s)")
	f.IntVar(&c.Ticks, "ticks", 0, "number of events of --stream, 0 for no end")
	f.BoolVar(&c.Echo, "echo", false, "answer with the request as JSON")
	f.BoolVar(&c.GRPC, "grpc", false, "echo the messages of any gRPC call (implies --h2c)")
	f.BoolVar(&c.H2C, "h2c", false, "also speak HTTP/2 without TLS")
	f.StringVar(&c.TLSCert, "tls-cert", "", "PEM file of the certificate chain: speak TLS")
	f.StringVar(&c.TLSKey, "tls-key", "", "PEM file of the certificate's key")
	return cmd
}

func runOrigin(cmd *cobra.Command, c origin.Config) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	o, err := origin.Start(c)
	if err != nil {
		return fmt.Errorf("origin: %w", err)
	}
	defer o.Close()
	for _, address := range o.Addresses() {
		fmt.Fprintf(cmd.OutOrStdout(), "origin listens on %s\n", address)
	}
	context.AfterFunc(ctx, o.Close)
	return o.Wait()
}

// textFlag is a flag whose value parses itself.
type textFlag struct {
	encoding.TextUnmarshaler
	kind string
}

// Set implements pflag.Value.
func (f textFlag) Set(s string) error { return f.UnmarshalText([]byte(s)) }

// String implements pflag.Value. It is the default in the usage text, where none is shown.
func (f textFlag) String() string { return "" }

// Type implements pflag.Value.
func (f textFlag) Type() string { return f.kind }
