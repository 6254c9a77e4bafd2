package server

import (
	"io"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/http1"
)

// tunnel sends the head of a 101, or of a 2xx to CONNECT, and then copies bytes both ways until
// both directions have ended. A direction that waits holds no buffer.
func (c *conn) tunnel(x *core.Exchange) {
	t := x.Response.Tunnel
	defer t.Close()
	c.state.Store(stateTunnel)
	if err := c.write(x, appendTunnelHead(x), 0); err != nil {
		c.aborted(x, err, http1.ResponseFraming{})
		return
	}
	c.s.ReadTimeout(0)
	c.s.WriteTimeout(0)
	x.Go(func() {
		if _, err := c.rd.WriteTo(&counted{w: t, n: &x.BytesIn}); err != nil {
			x.Cancel()
			return
		}
		t.CloseWrite()
	})
	if _, err := io.Copy(&counted{w: c.s, n: &x.BytesOut}, readOnly{t}); err != nil {
		c.nc.Close()
	} else {
		c.s.CloseWrite()
		c.nc.SetReadDeadline(time.Now().Add(halfOpenTime))
	}
	x.Wait()
}

// halfOpenTime is how long a client may go on sending after the endpoint has ended its side.
const halfOpenTime = 60 * time.Second

func appendTunnelHead(x *core.Exchange) []byte {
	resp := &x.Response
	out := make([]byte, 0, 1024)
	if resp.Status == 101 {
		return http1.AppendInterim(out, 101, &resp.Header, resp.Header.Joined("Upgrade"))
	}
	return http1.AppendResponse(out, resp, http1.ResponseFraming{
		Length: http1.NoLength, KeepAlive: true, ClientProto: core.HTTP11})
}

// readOnly keeps io.Copy to the tunnel's WriterTo.
type readOnly struct{ core.Tunnel }

// WriteTo uses the tunnel's own where it has one.
func (r readOnly) WriteTo(w io.Writer) (int64, error) {
	if wt, ok := r.Tunnel.(io.WriterTo); ok {
		return wt.WriteTo(w)
	}
	return io.Copy(w, struct{ io.Reader }{r.Tunnel})
}

type counted struct {
	w io.Writer
	n *int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	*c.n += int64(n)
	return n, err
}
