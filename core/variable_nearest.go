package core

import (
	"fmt"
	"strings"
)

// unknownVar says that there is no variable called name and what may have been meant. mark is
// what stands before a name where it was written: "$" in a template.
func unknownVar(name, mark string) error {
	if near := nearestVar(name); near != "" {
		return fmt.Errorf("unknown variable %s%s: did you mean %s%s?", mark, name, mark, near)
	}
	return fmt.Errorf("unknown variable %s%s: a capture of the route's path is %spath_%s, what a filter sets is %svar_%s",
		mark, name, mark, name, mark, name)
}

func nearestVar(name string) string {
	candidates := make([]string, 0, len(varByName)+len(varFamilies))
	for _, group := range varGroups {
		for i := range group {
			def := &group[i]
			if def.family == nil {
				candidates = append(candidates, def.name)
			} else if near, ok := likeFamily(name, def.name); ok {
				candidates = append(candidates, near)
			}
		}
	}
	return Nearest(name, candidates)
}

// likeFamily replaces as many words at the beginning of name as the family's prefix has by it.
func likeFamily(name, prefix string) (string, bool) {
	rest := name
	for range strings.Count(prefix, "_") {
		_, after, ok := strings.Cut(rest, "_")
		if !ok || after == "" {
			return "", false
		}
		rest = after
	}
	// Only the prefix is compared: a long name would make any prefix look near.
	typed := name[:len(name)-len(rest)]
	if Nearest(typed, []string{prefix}) == "" {
		return "", false
	}
	return prefix + rest, true
}

// Nearest returns the one of names that name was most likely meant to be, "" when none is near.
// Case and what is a third of the letters or less may differ. It is for error messages.
func Nearest(name string, names []string) string {
	best, bestDistance := "", len(name)/3+1
	for _, candidate := range names {
		if d := editDistance(strings.ToLower(name), strings.ToLower(candidate)); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// editDistance counts the insertions, deletions, replacements and swaps of neighbours between a
// and b.
func editDistance(a, b string) int {
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}
