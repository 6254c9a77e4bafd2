package upstream

import (
	"errors"
	"fmt"
	"time"

	"github.com/sluiceproxy/sluice/core"
)

// Balance says which endpoint gets a request. Its short form is the policy's name.
type Balance struct {
	// Policy is one of
	// round_robin, each in turn, smoothly by weight;
	// least, the one with the fewest requests under way for its weight;
	// random, the less busy one of two that are drawn by weight;
	// ewma, the one of two with the lower peak latency times requests under way;
	// hash, always the same one for the same key.
	// Default: round_robin.
	Policy string `yaml:"policy" enum:"round_robin,least,random,ewma,hash"`
	// Key is what hash goes by. A request whose key is empty is balanced by random. It must be
	// given for hash.
	Key *core.Template `yaml:"key"`
	// Table is how hash finds an endpoint: ring, as ketama does, moves the fewest keys when the
	// endpoints change; maglev spreads them more evenly. Default: ring.
	Table string `yaml:"table" enum:"ring,maglev"`
	// Decay is how fast ewma forgets a peak: after this time 37% of it is left. Default: 10s.
	Decay core.Duration `yaml:"decay"`
	// Penalty is the highest latency ewma takes a failing endpoint to have: each failure doubles
	// it up to there, so that quick errors do not attract requests. Default: 5s.
	Penalty core.Duration `yaml:"penalty"`
}

// Defaults implements core.Defaulter.
func (b *Balance) Defaults() {
	*b = Balance{
		Policy:  "round_robin",
		Table:   "ring",
		Decay:   core.Duration(10 * time.Second),
		Penalty: core.Duration(5 * time.Second),
	}
}

// UnmarshalText takes the short form.
func (b *Balance) UnmarshalText(text []byte) error {
	b.Defaults()
	b.Policy = string(text)
	return nil
}

// Validate implements core.Validator.
func (b *Balance) Validate() error {
	switch b.Policy {
	case "round_robin", "least", "random", "ewma":
		if b.Key != nil {
			return fmt.Errorf("balance %s takes no key: only hash does", b.Policy)
		}
	case "hash":
		if b.Key == nil {
			return errors.New(`balance hash needs a key: write {policy: hash, key: "$remote_addr"}`)
		}
	default:
		return fmt.Errorf("balance %q is not known: write round_robin, least, random, ewma or hash", b.Policy)
	}
	if b.Table != "ring" && b.Table != "maglev" {
		return fmt.Errorf("table %q is not known: write ring or maglev", b.Table)
	}
	if b.Policy == "ewma" && b.Decay <= 0 {
		return errors.New("decay is 0: ewma would remember nothing; write 10s")
	}
	return nil
}
