// Package sock puts over a net.Conn what a proxy needs and the net package does not offer: waiting
// for a readable socket without holding a buffer, a write and the wait for its answer in one turn
// of the poller, deadlines that are set only when they matter, and splice(2). It knows nothing of
// HTTP. Read conn.go first.
package sock
