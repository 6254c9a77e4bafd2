package reference_test

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/config"
	"github.com/sluiceproxy/sluice/core/config/decode"
	_ "github.com/sluiceproxy/sluice/plugins/standard"
)

var update = flag.Bool("update", false, "write the pages")

const (
	module = "github.com/sluiceproxy/sluice/"
	root   = "../../.."
)

// pages returns every page by its file.
func pages(t *testing.T) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for name, text := range config.References() {
		out[name] = text
	}
	for _, kind := range core.Kinds() {
		dir := filepath.Join(root, strings.TrimPrefix(kind.Config.PkgPath(), module))
		example, err := os.ReadFile(filepath.Join(dir, "example.yaml"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		out[filepath.Join(dir, "README.md")] += config.FilterReference(kind, string(example))
	}
	return out
}

func TestPagesAreFresh(t *testing.T) {
	for name, due := range pages(t) {
		if *update {
			if err := os.WriteFile(name, []byte(due), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		have, err := os.ReadFile(name)
		if err != nil || string(have) != due {
			t.Errorf("%s is not what the sources say (%v): run go generate ./core/config", name, err)
		}
	}
}

func TestEveryPluginIsLinked(t *testing.T) {
	folders, err := filepath.Glob(filepath.Join(root, "plugins", "*", "doc.go"))
	if err != nil || len(folders) == 0 {
		t.Fatalf("no plugins in %s (%v)", root, err)
	}
	for _, folder := range folders {
		name := filepath.Base(filepath.Dir(folder))
		linked := slices.ContainsFunc(core.Kinds(), func(k *core.Kind) bool {
			return strings.HasPrefix(k.Config.PkgPath()+"/", module+"plugins/"+name+"/")
		})
		if !linked && name != "standard" {
			t.Errorf("plugins/%s registers no filter that plugins/standard links", name)
		}
	}
}

func TestNoFilterHasAKeyThatEveryFilterHas(t *testing.T) {
	for _, kind := range core.Kinds() {
		for _, f := range decode.Fields(kind.Config) {
			if slices.Contains([]string{"when", "name", "on_error"}, f.Key) {
				t.Errorf("the filter %s has the key %s of its own, which no configuration can give it", kind.Name, f.Key)
			}
		}
	}
}

func TestExamplesLoad(t *testing.T) {
	examples, err := filepath.Glob(filepath.Join(root, "plugins", "*", "example.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, example := range examples {
		if _, err := config.Load(example); err != nil {
			t.Errorf("%s\n%v", example, err)
		}
	}
}
