package server

import (
	"net/netip"
	"strings"

	"github.com/sluiceproxy/sluice/core"
)

// forward finds out who the client is, where a trusted proxy says so, and sets the fields that
// tell the endpoint (RFC 7239, RFC 9110 7.6.3, and the X-Forwarded family).
func forward(x *core.Exchange, cfg *ListenerConfig) {
	trusted := len(cfg.trusted) > 0 && cfg.trusts(x.Client.Peer.Addr())
	if trusted {
		clientFromHeader(x, cfg)
	}
	h := &x.Request.Header
	if cfg.XForwarded {
		setXForwarded(x, h, trusted)
	}
	if cfg.Forwarded {
		setForwarded(x, h, trusted)
	}
	if cfg.Via != "" {
		addVia(h, x.Request.Proto, cfg.Via)
	}
}

// clientFromHeader takes the last address in X-Forwarded-For that is not a trusted proxy's own.
func clientFromHeader(x *core.Exchange, cfg *ListenerConfig) {
	list := x.Request.Header.Joined("X-Forwarded-For")
	for list != "" {
		item := list
		if i := strings.LastIndexByte(list, ','); i >= 0 {
			item, list = list[i+1:], list[:i]
		} else {
			list = ""
		}
		ip, port, ok := parseForwardedFor(strings.TrimSpace(item))
		if !ok {
			return
		}
		x.Client.IP, x.Client.Port, x.Client.Addr = ip, port, ip.String()
		if !cfg.trusts(ip) {
			return
		}
	}
}

func parseForwardedFor(s string) (netip.Addr, uint16, bool) {
	if ip, err := netip.ParseAddr(s); err == nil {
		return ip.Unmap(), 0, true
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap(), ap.Port(), true
	}
	return netip.Addr{}, 0, false
}

func setXForwarded(x *core.Exchange, h *core.Header, trusted bool) {
	peer := peerAddr(x)
	if !trusted {
		h.Set("X-Forwarded-For", peer)
		h.Set("X-Forwarded-Proto", x.Request.Scheme)
		h.Set("X-Forwarded-Host", x.Request.Authority)
		return
	}
	if before := h.Joined("X-Forwarded-For"); before != "" {
		peer = before + ", " + peer
	}
	h.Set("X-Forwarded-For", peer)
	setIfAbsent(h, "X-Forwarded-Proto", x.Request.Scheme)
	setIfAbsent(h, "X-Forwarded-Host", x.Request.Authority)
}

// peerAddr is whom the connection came from: with PROXY protocol the client that its header names.
func peerAddr(x *core.Exchange) string {
	if x.Client.Port != 0 || x.Client.Addr == "unix:" {
		return x.Client.Addr
	}
	return x.Client.Peer.Addr().String()
}

func setIfAbsent(h *core.Header, name, value string) {
	if !h.Has(name) {
		h.Add(name, value)
	}
}

func setForwarded(x *core.Exchange, h *core.Header, trusted bool) {
	peer := peerAddr(x)
	if strings.IndexByte(peer, ':') >= 0 {
		peer = `"[` + peer + `]"`
	}
	item := "for=" + peer + ";host=" + quoted(x.Request.Authority) + ";proto=" + x.Request.Scheme
	if before := h.Joined("Forwarded"); trusted && before != "" {
		item = before + ", " + item
	}
	h.Set("Forwarded", item)
}

func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func addVia(h *core.Header, proto core.Proto, name string) {
	item := viaItem(proto, name)
	if before := h.Joined("Via"); before != "" {
		item = before + ", " + item
	}
	h.Set("Via", item)
}

// viaItem avoids an allocation for the usual name.
func viaItem(proto core.Proto, name string) string {
	if name == "sluice" {
		switch proto {
		case core.HTTP11:
			return "1.1 sluice"
		case core.HTTP10:
			return "1.0 sluice"
		case core.HTTP2:
			return "2.0 sluice"
		}
	}
	return strings.TrimPrefix(proto.String(), "HTTP/") + " " + name
}
