package server

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Environment of a process that takes sockets over. Descriptors begin at 3.
const (
	envSockets = "SLUICE_SOCKETS" // addresses as configured, separated by blanks, in descriptor order
	envReady   = "SLUICE_READY"   // descriptor to write a byte to when the sockets are served
)

// inherited are the listening sockets that an older process or systemd has handed over.
type inherited struct {
	mu      sync.Mutex // guards all below
	byName  map[string]net.Listener
	unnamed []net.Listener // systemd's, found by the address they are bound to
	ready   *os.File
}

// inheritSockets takes what the environment says was handed over, once for the process.
func inheritSockets(log *slog.Logger) *inherited {
	in := &inherited{byName: map[string]net.Listener{}}
	names := strings.Fields(os.Getenv(envSockets))
	for i, name := range names {
		if ln := socketFrom(3+i, log); ln != nil {
			in.byName[name] = ln
		}
	}
	if fd, err := strconv.Atoi(os.Getenv(envReady)); err == nil {
		in.ready = os.NewFile(uintptr(fd), "ready")
	}
	if os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getpid()) {
		n, _ := strconv.Atoi(os.Getenv("LISTEN_FDS"))
		for i := range n {
			if ln := socketFrom(3+i, log); ln != nil {
				in.unnamed = append(in.unnamed, ln)
			}
		}
	}
	for _, name := range []string{envSockets, envReady, "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
	return in
}

func socketFrom(fd int, log *slog.Logger) net.Listener {
	f := os.NewFile(uintptr(fd), "socket")
	defer f.Close()
	ln, err := net.FileListener(f)
	if err != nil {
		log.Warn("a socket that was handed over cannot be used", "descriptor", fd, "error", err)
		return nil
	}
	return ln
}

// take returns the socket for an address, nil when none was handed over.
func (in *inherited) take(address string) net.Listener {
	in.mu.Lock()
	defer in.mu.Unlock()
	if ln := in.byName[address]; ln != nil {
		delete(in.byName, address)
		return ln
	}
	for i, ln := range in.unnamed {
		if sameAddress(ln.Addr(), address) {
			in.unnamed = append(in.unnamed[:i], in.unnamed[i+1:]...)
			return ln
		}
	}
	return nil
}

func sameAddress(bound net.Addr, address string) bool {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return bound.Network() == "unix" && bound.String() == path
	}
	want, err := net.ResolveTCPAddr("tcp", address)
	have, ok := bound.(*net.TCPAddr)
	if err != nil || !ok || want.Port != have.Port {
		return false
	}
	return want.IP == nil && have.IP.IsUnspecified() || want.IP.Equal(have.IP)
}

// close closes what nobody took.
func (in *inherited) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, ln := range in.byName {
		ln.Close()
	}
	for _, ln := range in.unnamed {
		ln.Close()
	}
	in.byName, in.unnamed = nil, nil
}

// Ready tells the process that handed the sockets over, if there is one, that they are served now:
// it then drains and ends. Sockets that the configuration does not name are closed.
func (s *Server) Ready() {
	s.inherited.close()
	s.inherited.mu.Lock()
	defer s.inherited.mu.Unlock()
	if f := s.inherited.ready; f != nil {
		f.Write([]byte{1})
		f.Close()
		s.inherited.ready = nil
	}
}

// Handover starts the program at path with args and this process's listening sockets, and returns
// once it serves them. Connections wait in the sockets meanwhile, none is refused. On an error the
// new process is gone and this one serves on. The caller then drains.
func (s *Server) Handover(path string, args []string, wait time.Duration) error {
	files, names, err := s.socketFiles()
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("hand sockets over: %w", err)
	}
	defer r.Close()
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = append(files, w)
	cmd.Env = append(os.Environ(), envSockets+"="+strings.Join(names, " "),
		envReady+"="+strconv.Itoa(3+len(files)))
	err = cmd.Start()
	w.Close()
	if err != nil {
		return fmt.Errorf("start %s: %w", path, err)
	}
	if err := awaitReady(r, wait); err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return fmt.Errorf("the new process did not serve: %w", err)
	}
	return cmd.Process.Release()
}

func awaitReady(r *os.File, wait time.Duration) error {
	r.SetReadDeadline(time.Now().Add(wait))
	var b [1]byte
	n, err := r.Read(b[:])
	switch {
	case n == 1:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("not ready after %s", wait)
	}
	return errors.New("it ended; its log says why")
}

// socketFiles returns the listening sockets with their addresses. A Unix socket's file is left in
// place from now on.
func (s *Server) socketFiles() (files []*os.File, names []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sockets := maps.Clone(s.others)
	for _, l := range s.listeners {
		sockets[l.address] = l.socket
	}
	for address, ln := range sockets {
		if u, ok := ln.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false)
		}
		filer, ok := ln.(interface{ File() (*os.File, error) })
		if !ok {
			return files, nil, fmt.Errorf("%s: its socket cannot be handed over", address)
		}
		f, err := filer.File()
		if errors.Is(err, net.ErrClosed) && s.others[address] == ln {
			delete(s.others, address) // its owner has moved on
			continue
		}
		if err != nil {
			return files, nil, fmt.Errorf("%s: %w", address, err)
		}
		files, names = append(files, f), append(names, address)
	}
	return files, names, nil
}
