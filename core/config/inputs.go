package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluiceproxy/sluice/core/config/decode"
)

// inputs are the files that a configuration is made of.
type inputs struct {
	main     string
	patterns []string // of includes, with the main file's folder before them
	digest   string   // of the files' names and contents as they were read
}

// source is one of the files, as read.
type source struct {
	name string
	text []byte
	err  error
}

// read reads the main file and all that the patterns match now, each once, and digests them.
func (in *inputs) read() []source {
	names := []string{in.main}
	seen := make(map[string]bool)
	for _, pattern := range in.patterns {
		matches, err := filepath.Glob(pattern)
		if err != nil {
			continue // a bad pattern is an error of the include key
		}
		if len(matches) == 0 && !isPattern(pattern) {
			matches = []string{pattern} // to be told that it is missing
		}
		for _, name := range matches {
			if name = filepath.Clean(name); !seen[name] && !sameFile(name, in.main) {
				seen[name] = true
				names = append(names, name)
			}
		}
	}
	sources := make([]source, len(names))
	sum := sha256.New()
	for i, name := range names {
		text, err := readFile(name)
		sources[i] = source{name, text, err}
		fmt.Fprintf(sum, "%q %d %v\n", name, len(text), err)
		sum.Write(text)
	}
	in.digest = hex.EncodeToString(sum.Sum(nil))
	return sources
}

// changed reports whether the files are other than those that were read.
func (in inputs) changed() bool {
	now := in
	now.read()
	return now.digest != in.digest
}

// places are where a change of the inputs can be seen.
type places struct {
	folders []string
	files   []string
}

// places returns the files, the files that symbolic links among them lead to, and the folders of
// them all, where files that match a pattern may yet appear.
func (in *inputs) places() places {
	var p places
	p.add(in.main)
	for _, pattern := range in.patterns {
		folders, _ := filepath.Glob(filepath.Dir(pattern)) // of a bad pattern there are none
		for _, folder := range folders {
			p.folders = appendNew(p.folders, folder)
		}
		matches, _ := filepath.Glob(pattern)
		for _, match := range matches {
			p.add(match)
		}
	}
	return p
}

func (p *places) add(name string) {
	p.files = appendNew(p.files, name)
	p.folders = appendNew(p.folders, filepath.Dir(name))
	if target, err := filepath.EvalSymlinks(name); err == nil {
		p.files = appendNew(p.files, target)
		p.folders = appendNew(p.folders, filepath.Dir(target))
	}
}

func appendNew(list []string, name string) []string {
	if abs, err := filepath.Abs(name); err == nil && !slices.Contains(list, abs) {
		list = append(list, abs)
	}
	return list
}

func isPattern(name string) bool { return strings.ContainsAny(name, `*?[\`) }

func sameFile(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// readFile reads one byte more than a document may have, so that Parse can refuse it.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, plainError(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, decode.MaxBytes+1))
	return text, plainError(err)
}

// plainError leaves away the file's name, which stands before it anyway.
func plainError(err error) error {
	var e *fs.PathError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}
