package main

import (
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/core/config"
)

func runCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "run FILE",
		Short: "Run the proxy",
		Long: `Run the proxy with the configuration in FILE.

Signals:
  HUP        load the configuration anew; when it is wrong the running one stays
  TERM, INT  stop accepting, let running exchanges end (shutdown.drain), exit;
             a second one exits at once
  USR1       open log files anew, after they were moved away
  USR2       start the program anew with the same sockets, and drain once it serves`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return run(args[0]) },
	}
}

// gcPercent lets the heap grow to five times what is alive before it is collected: little is alive
// in a proxy, and a collection costs more than the memory.
const gcPercent = 400

func run(file string) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1, syscall.SIGUSR2)
	defer signal.Stop(signals)
	p, err := config.Start(file, config.Options{})
	if err != nil {
		return err
	}
	defer p.Close()
	p.Server().Ready()
	for _, name := range p.Current().Listeners() {
		p.Log().Info("listening", "listener", name, "address", p.Server().Addr(name).String())
	}
	serve(p, signals)
	return nil
}
