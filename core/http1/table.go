package http1

// Byte classes of RFC 9110 5.6.2 (token), 5.5 (field value), RFC 3986 (target, host).
const (
	isToken  = 1 << iota
	isValue  // VCHAR, obs-text, SP, HTAB
	isTarget // VCHAR but what RFC 3986 leaves out
	isLoose  // bytes that clients send unescaped in a target; forwarded escaped
	isHost   // reg-name and IP literals
	isHex
)

var class = func() (t [256]uint8) {
	for c := range 256 {
		alnum := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if alnum || contains("!#$%&'*+-.^_`|~", c) {
			t[c] |= isToken
		}
		if c == '\t' || c >= ' ' && c != 0x7f {
			t[c] |= isValue
		}
		if alnum || contains("-._~!$&'()*+,;=:@/?%[]", c) {
			t[c] |= isTarget
		}
		if c >= 0x80 || contains("\"<>\\^`{|}", c) {
			t[c] |= isLoose
		}
		if alnum || contains("-._~!$&'()*+;=%", c) {
			t[c] |= isHost
		}
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' {
			t[c] |= isHex
		}
	}
	return t
}()

func contains(set string, c int) bool {
	for i := 0; i < len(set); i++ {
		if int(set[i]) == c {
			return true
		}
	}
	return false
}

// only reports whether every byte of s is of the class.
func only(s string, kind uint8) bool {
	for i := 0; i < len(s); i++ {
		if class[s[i]]&kind == 0 {
			return false
		}
	}
	return true
}
