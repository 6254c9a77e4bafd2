// Package standard links the filters that come with Sluice. It holds nothing else: a program that
// wants fewer, or others too, imports those it wants in its place.
package standard
