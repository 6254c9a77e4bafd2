package main

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/sluiceproxy/sluice/core/config"
	"github.com/sluiceproxy/sluice/plugins/accesslog"
)

// handoverTime is how long a new process may take until it serves.
const handoverTime = 30 * time.Second

// serve does what signals ask for until the proxy has drained.
func serve(p *config.Proxy, signals <-chan os.Signal) {
	for s := range signals {
		switch s {
		case syscall.SIGHUP:
			_ = p.Reload() // which logs its error
		case syscall.SIGUSR1:
			reopenLogs(p)
		case syscall.SIGUSR2:
			if handOver(p) {
				drain(p, signals)
				return
			}
		default:
			drain(p, signals)
			return
		}
	}
}

func reopenLogs(p *config.Proxy) {
	if err := errors.Join(p.ReopenLog(), accesslog.ReopenAll()); err != nil {
		p.Log().Error("a log was not opened anew and goes on in its old file", "error", err)
	}
}

// handOver starts the program anew, which may be another version by now, and reports whether it
// serves.
func handOver(p *config.Proxy) bool {
	path, err := os.Executable()
	if err == nil {
		err = p.Server().Handover(path, os.Args[1:], handoverTime)
	}
	if err != nil {
		p.Log().Error("sockets not handed over, this process serves on", "error", err)
		return false
	}
	p.Log().Info("a new process serves")
	return true
}

// drain waits for the running exchanges, at most for shutdown.drain. A second signal to end cuts
// them.
func drain(p *config.Proxy, signals <-chan os.Signal) {
	limit := p.Current().File().Shutdown.Drain.Std()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.Drain(ctx) }()
	p.Log().Info("draining", "for", limit)
	for {
		select {
		case err := <-done:
			if err != nil {
				p.Log().Warn("exchanges were cut", "connections", p.Server().Connections(), "error", err)
			}
			return
		case s := <-signals:
			if s == syscall.SIGTERM || s == syscall.SIGINT {
				cancel()
			}
		}
	}
}
