// Package route compiles route tables: which route an exchange takes, which upstream its `to`
// chooses, and how its path is rewritten. It runs no filter and calls no upstream.
//
// Unless a listener says `order: listed`, the most specific route wins, by the first of these that
// tells two routes apart:
//
//  1. host: an exact name, then *.wildcards, the longest first, then no host;
//  2. path: one without **, then a regular expression, then one that ends in **, then no path;
//  3. two paths segment by segment: a literal before a capture or *, before **;
//  4. the number of further criteria, the larger first;
//  5. the order in the file; between regular expressions it comes before 4.
//
// Read config.go, then table.go.
package route
