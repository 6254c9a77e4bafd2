package core

import (
	"encoding/hex"
	"math/rand/v2"
)

// newID returns 32 random hexadecimal digits. They tell requests apart and are no secret, so the
// runtime's ChaCha8 generator does.
func newID() string {
	var raw [16]byte
	var text [32]byte
	for i, v := range [2]uint64{rand.Uint64(), rand.Uint64()} {
		for j := range 8 {
			raw[i*8+j] = byte(v >> (8 * j))
		}
	}
	hex.Encode(text[:], raw[:])
	return string(text[:])
}
