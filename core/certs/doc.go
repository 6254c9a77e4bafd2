// Package certs makes TLS configurations from files: a listener's, with several certificates
// chosen by SNI, client certificates and reload, and an upstream's. It opens no connection. Read
// server.go first.
package certs
