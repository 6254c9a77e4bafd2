package core

var clientVars = []varDef{
	{name: "remote_addr", doc: "address of the client, as a trusted proxy or the PROXY protocol says", text: clientAddr},
	{name: "client_ip", doc: "the same as remote_addr", text: clientAddr},
	{name: "remote_port", doc: "port of the client, unset when only a trusted proxy names the client",
		integer: func(x *Exchange) (int64, bool) { return int64(x.Client.Port), x.Client.Port != 0 }},
	{name: "binary_remote_addr", doc: "remote_addr as 4 or 16 bytes", compose: appendBinaryAddr},
	{name: "realip_remote_addr", doc: "address that the connection came from", compose: func(dst []byte, x *Exchange) []byte {
		if !x.Client.Peer.IsValid() {
			return dst
		}
		return x.Client.Peer.Addr().Unmap().AppendTo(dst)
	}},
	{name: "realip_remote_port", doc: "port that the connection came from", integer: func(x *Exchange) (int64, bool) {
		return int64(x.Client.Peer.Port()), x.Client.Peer.IsValid()
	}},
	{name: "server_addr", doc: "address that the client connected to", compose: func(dst []byte, x *Exchange) []byte {
		if !x.Client.Local.IsValid() {
			return dst
		}
		return x.Client.Local.Addr().Unmap().AppendTo(dst)
	}},
	{name: "server_port", doc: "port that the client connected to", integer: func(x *Exchange) (int64, bool) {
		return int64(x.Client.Local.Port()), x.Client.Local.IsValid()
	}},
	{name: "server_name", doc: "the same as listener: unlike host it is never the client's choice", text: listenerVar},
	{name: "listener", doc: "name of the listener", text: listenerVar},
	{name: "connection", doc: "serial number of the connection",
		integer: func(x *Exchange) (int64, bool) { return int64(x.Client.ID), x.Client.ID != 0 }},
	{name: "connection_requests", doc: "serial number of the request on its connection, from 1",
		integer: func(x *Exchange) (int64, bool) { return int64(x.Client.Nth), x.Client.Nth != 0 }},
}

func clientAddr(x *Exchange) (string, bool) { return set(x.Client.Addr) }

func listenerVar(x *Exchange) (string, bool) { return set(x.Listener) }

func appendBinaryAddr(dst []byte, x *Exchange) []byte {
	ip := x.Client.IP.Unmap()
	switch {
	case ip.Is4():
		raw := ip.As4()
		return append(dst, raw[:]...)
	case ip.Is6():
		raw := ip.As16()
		return append(dst, raw[:]...)
	}
	return dst
}
