package fielddoc_test

import (
	"testing"
	"testing/fstest"

	"github.com/sluiceproxy/sluice/core/config/internal/fielddoc"
)

func TestCommentsOfTaggedFieldsAreCollected(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	got, err := fielddoc.Collect(fstest.MapFS{
		"go.mod": file("module example.com/m\n\ngo 1.26\n"),
		"a/a.go": file("package a\n\n// A is\n// one.\ntype A struct {\n\t// B is <b>.\n\t//\n\t// More.\n\tB int `yaml:\"b,required\"`\n" +
			"\tC int `yaml:\"c\"` // C trails.\n\tD int `yaml:\"-\"` // D is out.\n\tE int `yaml:\"e\"`\n}\n\n// Plain is no configuration.\ntype Plain struct{ X int }\n"),
		"a/a_test.go":     file("package a\n\ntype T struct {\n\t// X is of a test.\n\tX int `yaml:\"x\"`\n}\n"),
		"testdata/b.go":   file("not Go"),
		".hidden/c.go":    file("not Go"),
		"a/notes.txt":     file("not Go"),
		"a/internal/d.go": file("package internal\n\ntype (\n\t// D groups.\n\tD struct {\n\t\t// X, Y are two.\n\t\tX, Y int `yaml:\"x\"`\n\t}\n)\n"),
	})
	if err != nil {
		t.Fatal(err)
	}
	due := `{
  "example.com/m/a.A": "A is one.",
  "example.com/m/a.A.B": "B is <b>. More.",
  "example.com/m/a.A.C": "C trails.",
  "example.com/m/a/internal.D": "D groups.",
  "example.com/m/a/internal.D.X": "X, Y are two.",
  "example.com/m/a/internal.D.Y": "X, Y are two."
}
`
	if string(got) != due {
		t.Errorf("came\n%s\ndue\n%s", got, due)
	}
}

func TestASourceThatDoesNotParseIsAnError(t *testing.T) {
	_, err := fielddoc.Collect(fstest.MapFS{
		"go.mod": &fstest.MapFile{Data: []byte("module m\n")}, "a.go": &fstest.MapFile{Data: []byte("package")},
	})
	if err == nil {
		t.Error("no error for a file that is no Go")
	}
}
