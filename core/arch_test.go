package core_test

import (
	"bytes"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module   = "github.com/sluiceproxy/sluice"
	maxLines = 500
)

// goFile is a Go file of the module.
type goFile struct {
	path string // from the module's root, with slashes
	text []byte
	tree *ast.File
	test bool
}

// dir is the folder, which is the package's path within the module.
func (f goFile) dir() string { return path.Dir(f.path) }

// imports returns the packages of this module that f imports, without the module's name.
func (f goFile) imports(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, spec := range f.tree.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatalf("%s: import %s: %v", f.path, spec.Path.Value, err)
		}
		if own, ok := strings.CutPrefix(name, module+"/"); ok {
			out = append(out, own)
		}
	}
	return out
}

func goFiles(t *testing.T) []goFile {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	var out []goFile
	err = filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && name != root && strings.HasPrefix(entry.Name(), ".") {
			return filepath.SkipDir
		}
		if entry.IsDir() || filepath.Ext(name) != ".go" {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		tree, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		out = append(out, goFile{filepath.ToSlash(rel), text, tree, strings.HasSuffix(name, "_test.go")})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func under(dir, parent string) bool { return dir == parent || strings.HasPrefix(dir, parent+"/") }

// plugin returns the folder of the plugin that dir is part of, "" when it is none.
func plugin(dir string) string {
	rest, ok := strings.CutPrefix(dir, "plugins/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return "plugins/" + name
}

// forbidden tells why a package in dir may not import imported, "" when it may.
func forbidden(dir, imported string) string {
	switch {
	case dir == "core":
		return "core imports no other package of the module"
	case under(dir, "core") && !under(imported, "core"):
		return "packages under core import only packages under core"
	case under(dir, "sdk") && (under(imported, "plugins") || under(imported, "cmd")):
		return "the sdk links no plugin"
	case under(dir, "plugins") && dir != "plugins/standard" && !under(imported, "core") && plugin(imported) != plugin(dir):
		return "a plugin imports core, never another plugin"
	case under(imported, "cmd"):
		return "nothing imports cmd"
	}
	return ""
}

func TestImportsPointTowardsCore(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.test {
			continue // a test may link what it tests with, such as the harness
		}
		for _, imported := range f.imports(t) {
			if why := forbidden(f.dir(), imported); why != "" {
				t.Errorf("%s imports %s: %s", f.path, imported, why)
			}
		}
	}
}

func TestTheRulesOfImportsForbidWhatTheySay(t *testing.T) {
	for _, c := range []struct {
		dir, imported string
		allowed       bool
	}{
		{"core", "core/http1", false},
		{"core/proxy", "core/route", true},
		{"core/proxy", "plugins/retry", false},
		{"core/config", "sdk/proxytest", false},
		{"plugins/retry", "core", true},
		{"plugins/retry", "plugins/breaker", false},
		{"plugins/retry", "sdk/proxytest", false},
		{"plugins/lua/vm", "plugins/lua", true},
		{"plugins/standard", "plugins/retry", true},
		{"sdk/proxytest", "plugins/retry", false},
		{"cmd/sluice", "plugins/standard", true},
		{"examples/custom", "plugins/standard", true},
		{"examples/custom", "cmd/sluice", false},
	} {
		if got := forbidden(c.dir, c.imported) == ""; got != c.allowed {
			t.Errorf("%s importing %s: allowed %v, due %v", c.dir, c.imported, got, c.allowed)
		}
	}
}

func TestEveryPackageHasADocFile(t *testing.T) {
	documented := map[string]bool{}
	for _, f := range goFiles(t) {
		if f.test {
			continue
		}
		documented[f.dir()] = documented[f.dir()] || path.Base(f.path) == "doc.go" && f.tree.Doc != nil
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s has no doc.go with a package comment", dir)
		}
	}
}

func TestFilesAreShortEnoughToRead(t *testing.T) {
	for _, f := range goFiles(t) {
		if n := bytes.Count(f.text, []byte("\n")); !f.test && !ast.IsGenerated(f.tree) && n > maxLines {
			t.Errorf("%s has %d lines, %d are allowed: make two files of it", f.path, n, maxLines)
		}
	}
}

// The words are put together so that this file does not hold them.
var leftovers = regexp.MustCompile(`\b(` + "TO" + "DO|FIX" + `ME)\b|\bt\.` + `Skip(Now|f)?\(`)

func TestNothingIsLeftForLater(t *testing.T) {
	for _, f := range goFiles(t) {
		for i, line := range bytes.Split(f.text, []byte("\n")) {
			if found := leftovers.Find(line); found != nil {
				t.Errorf("%s:%d holds %q", f.path, i+1, found)
			}
		}
	}
}

func TestFilesAreFormatted(t *testing.T) {
	for _, f := range goFiles(t) {
		formatted, err := format.Source(f.text)
		if err != nil {
			t.Errorf("%s: %v", f.path, err)
			continue
		}
		if !slices.Equal(formatted, f.text) {
			t.Errorf("%s is not as gofmt writes it", f.path)
		}
	}
}
