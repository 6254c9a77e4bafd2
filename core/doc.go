// Package core holds what every other package of Sluice speaks: the Exchange, the Filter and the
// chain they run in, the registry of filters, the variables, templates and conditions, and the
// typed errors. It imports no other package of Sluice.
//
// Read filter.go first, then exchange.go.
package core
