package compress

import (
	"strings"

	"github.com/sluiceproxy/sluice/core"
)

// quality is a qvalue in thousandths (RFC 9110 12.4.2); unset where a coding was not named.
type quality int

const unset quality = -1

// choose returns the coding that Accept-Encoding (RFC 9110 12.5.3) weighs most, the first of
// those that weigh the same; nil for none, which is also when the client prefers identity.
func choose(accept string, codings []*coding) *coding {
	if accept == "" {
		return nil
	}
	var best *coding
	bestQ := max(0, weigh(accept, "identity"))
	if bestQ > 0 {
		bestQ-- // at the same weight the smaller one is better
	}
	others := weigh(accept, "*")
	for _, c := range codings {
		q := weigh(accept, c.name)
		if c.alias != "" {
			q = max(q, weigh(accept, c.alias))
		}
		if q == unset {
			q = others
		}
		if q > bestQ {
			best, bestQ = c, q
		}
	}
	return best
}

// weigh returns the weight that the list gives to a coding.
func weigh(accept, name string) quality {
	for accept != "" {
		var item string
		item, accept, _ = strings.Cut(accept, ",")
		coding, params, _ := strings.Cut(item, ";")
		if core.EqualFold(strings.Trim(coding, " \t"), name) {
			return parseQuality(params)
		}
	}
	return unset
}

// parseQuality reads "q=0.5" into 500. Nothing is 1; what it does not understand is 0, because a
// response that is not encoded is right for every client.
func parseQuality(s string) quality {
	s = strings.Trim(s, " \t")
	if s == "" {
		return 1000
	}
	name, value, ok := strings.Cut(s, "=")
	value = strings.Trim(value, " \t")
	if !ok || !core.EqualFold(strings.Trim(name, " \t"), "q") || value == "" || value[0] != '0' && value[0] != '1' {
		return 0
	}
	q := quality(value[0]-'0') * 1000
	digits := strings.TrimPrefix(value[1:], ".")
	if len(digits) > 3 || len(value) > 1 && value[1] != '.' {
		return 0
	}
	unit := quality(100)
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return 0
		}
		q += quality(digits[i]-'0') * unit
		unit /= 10
	}
	return min(q, 1000)
}
