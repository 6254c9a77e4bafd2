package decode

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"slices"
	"strings"
)

// Kind is what a node is.
type Kind uint8

// The kinds of nodes.
const (
	Null Kind = iota // nothing, ~ or null
	Scalar
	List
	Map
	Broken // Parse has noted what is wrong with it
)

// String names the kind as error messages do.
func (k Kind) String() string {
	return [...]string{"nothing", "a single value", "a list", "a mapping", "a mistake"}[k]
}

// Node is a piece of a YAML document, with aliases, merge keys and environment variables put in.
type Node struct {
	Pos    Pos
	Kind   Kind
	Text   string // of a Scalar
	Plain  bool   // a Scalar without quotes, which may be a number or true
	Items  []*Node
	Fields []Field
}

// Field is an entry of a Map, in the order of the document. Its key is unique within the Map.
type Field struct {
	Key   string
	Pos   Pos // of the key
	Value *Node
}

// Field returns the entry under key, nil when there is none.
func (n *Node) Field(key string) *Field {
	if n == nil {
		return nil
	}
	for i := range n.Fields {
		if n.Fields[i].Key == key {
			return &n.Fields[i]
		}
	}
	return nil
}

// Get returns the value under key, nil when there is none. It may be called on nil.
func (n *Node) Get(key string) *Node {
	if f := n.Field(key); f != nil {
		return f.Value
	}
	return nil
}

// Without returns a copy of a Map that lacks the keys.
func (n *Node) Without(keys ...string) *Node {
	out := *n
	out.Fields = nil
	for _, f := range n.Fields {
		if !slices.Contains(keys, f.Key) {
			out.Fields = append(out.Fields, f)
		}
	}
	return &out
}

// Find returns the place of the first key or value below n whose text is text, else n's own.
func (n *Node) Find(text string) Pos {
	if pos, ok := n.find(text); ok {
		return pos
	}
	return n.Pos
}

func (n *Node) find(text string) (Pos, bool) {
	if n.Kind == Scalar && n.Text == text {
		return n.Pos, true
	}
	for _, item := range n.Items {
		if pos, ok := item.find(text); ok {
			return pos, true
		}
	}
	for _, f := range n.Fields {
		if f.Key == text {
			return f.Pos, true
		}
		if pos, ok := f.Value.find(text); ok {
			return pos, true
		}
	}
	return Pos{}, false
}

// Texts calls f with each key and value of n and below. It may be called on nil.
func (n *Node) Texts(f func(string)) {
	if n == nil {
		return
	}
	if n.Kind == Scalar {
		f(n.Text)
	}
	for _, item := range n.Items {
		item.Texts(f)
	}
	for _, field := range n.Fields {
		f(field.Key)
		field.Value.Texts(f)
	}
}

// Hash returns a digest of what n says, in 32 hexadecimal digits. The order of a mapping's keys,
// quotes, comments and places do not count.
func (n *Node) Hash() string {
	h := sha256.New()
	n.digest(h)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func (n *Node) digest(h hash.Hash) {
	h.Write([]byte{byte(n.Kind)})
	digestText(h, n.Text)
	digestSize(h, len(n.Items))
	for _, item := range n.Items {
		item.digest(h)
	}
	digestSize(h, len(n.Fields))
	sorted := slices.SortedFunc(slices.Values(n.Fields), func(a, b Field) int {
		return strings.Compare(a.Key, b.Key)
	})
	for _, f := range sorted {
		digestText(h, f.Key)
		f.Value.digest(h)
	}
}

func digestText(h hash.Hash, s string) {
	digestSize(h, len(s))
	h.Write([]byte(s))
}

func digestSize(h hash.Hash, n int) {
	var raw [8]byte
	binary.LittleEndian.PutUint64(raw[:], uint64(n))
	h.Write(raw[:])
}
