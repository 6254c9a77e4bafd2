package decode

import (
	"fmt"
	"strings"
)

// expand puts environment variables in place of ${NAME} and ${NAME:-default}. A name is upper
// case: anything else after a dollar is left for templates, and so is what follows "$$", which is
// a dollar to them.
func expand(s string, getenv func(string) (string, bool)) (string, error) {
	if !strings.Contains(s, "${") {
		return s, nil
	}
	var out strings.Builder
	var firstErr error
	for {
		i := strings.IndexByte(s, '$')
		if i < 0 || i+1 == len(s) {
			out.WriteString(s)
			return out.String(), firstErr
		}
		out.WriteString(s[:i])
		s = s[i:]
		if s[1] == '$' {
			out.WriteString("$$")
			s = s[2:]
			continue
		}
		name, fallback, size := reference(s)
		if size == 0 {
			out.WriteByte('$')
			s = s[1:]
			continue
		}
		value, err := lookup(name, fallback, getenv)
		if err != nil && firstErr == nil {
			firstErr = err
		}
		out.WriteString(value)
		s = s[size:]
	}
}

// reference reads ${NAME} or ${NAME:-default} at the beginning of s. size is 0 when s begins with
// neither; fallback is nil without default.
func reference(s string) (name string, fallback *string, size int) {
	if !strings.HasPrefix(s, "${") {
		return "", nil, 0
	}
	end := 2
	for end < len(s) && nameByte(s[end], end > 2) {
		end++
	}
	name = s[2:end]
	rest, ok := strings.CutPrefix(s[end:], ":-")
	stop := strings.IndexByte(s[end:], '}')
	switch {
	case name == "" || stop < 0 || (!ok && stop != 0):
		return "", nil, 0
	case !ok:
		return name, nil, end + 1
	}
	value := rest[:stop-len(":-")]
	return name, &value, end + stop + 1
}

func nameByte(c byte, digits bool) bool {
	return 'A' <= c && c <= 'Z' || c == '_' || digits && '0' <= c && c <= '9'
}

// lookup takes an empty variable for an unset one when there is a default, as a shell does.
func lookup(name string, fallback *string, getenv func(string) (string, bool)) (string, error) {
	value, ok := getenv(name)
	switch {
	case fallback != nil && value == "":
		return *fallback, nil
	case !ok:
		return "", fmt.Errorf("the environment variable %s is not set: set it, or write a default as in ${%s:-value}", name, name)
	}
	return value, nil
}
