// Package timeout is the filter timeout: it sets how long an exchange may take in all and how long
// each try may, in place of what the upstream says. It holds no timer: whoever waits heeds
// core.Exchange.Deadline and TryTimeout.
package timeout
