package admin

import (
	"fmt"
	"net"
)

// Config is the admin section of a configuration. Its short form is the address alone.
type Config struct {
	// Address to listen on, host:port. On a loopback address, requests whose Host or Origin names
	// another host are refused, so that a web page cannot reach it by DNS rebinding.
	Address string `yaml:"address,required"`
}

// UnmarshalText takes the short form.
func (c *Config) UnmarshalText(text []byte) error {
	c.Address = string(text)
	return c.Validate()
}

// Validate checks that the address has a host and a port.
func (c *Config) Validate() error {
	if _, _, err := net.SplitHostPort(c.Address); err != nil {
		return fmt.Errorf("%q is not an address: write host:port, such as 127.0.0.1:9990", c.Address)
	}
	return nil
}
