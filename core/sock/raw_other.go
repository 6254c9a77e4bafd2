//go:build !linux

package sock

// msgNoSignal is Linux's; elsewhere the runtime ignores SIGPIPE on sockets.
const msgNoSignal = 0
