package server

import (
	"syscall"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/sock"
)

// goneAfter is how long an exchange runs before somebody looks whether its client is still there,
// and how often. Shorter ones find out when they write.
const goneAfter = time.Second

// watchClients gives up exchanges whose client has closed its side of the connection, as nginx
// does: nobody waits for the answer, and an endpoint should not work on it. It runs until stop.
func (s *Server) watchClients(stop <-chan struct{}) {
	tick := time.NewTicker(goneAfter)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			now := core.Now()
			s.conns.each(func(c *conn) { c.cancelIfGone(now) })
		}
	}
}

// cancelIfGone cancels a long exchange without a client. One whose request is still being read
// finds out by itself, and in a tunnel an end of one direction is ordinary.
func (c *conn) cancelIfGone(now core.Instant) {
	if c.state.Load() != stateActive || !c.bodyDone.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.x == nil || now.Sub(c.x.Start) < goneAfter {
		return
	}
	if sc, ok := c.socket.(syscall.Conn); ok && sock.PeerClosed(sc) {
		c.x.Cancel()
	}
}
