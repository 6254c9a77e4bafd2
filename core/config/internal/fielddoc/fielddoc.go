package fielddoc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"reflect"
	"strconv"
	"strings"
)

// Collect returns the comments of every struct in the module with root at fsys that has a field
// tagged yaml, and of those fields: a JSON object from "import/path.Type" and
// "import/path.Type.Field" to the comment as one paragraph.
func Collect(fsys fs.FS) ([]byte, error) {
	module, err := moduleName(fsys)
	if err != nil {
		return nil, err
	}
	docs := make(map[string]string)
	err = fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if entry.IsDir() && name != "." && (strings.HasPrefix(base, ".") || base == "testdata") {
			return fs.SkipDir
		}
		if entry.IsDir() || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		collectFile(docs, path.Join(module, path.Dir(name)), file)
		return nil
	})
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	err = enc.Encode(docs) // sorted by key
	return out.Bytes(), err
}

func moduleName(fsys fs.FS) (string, error) {
	text, err := fs.ReadFile(fsys, "go.mod")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "module "); ok {
			return strings.TrimSpace(name), nil
		}
	}
	return "", fmt.Errorf("go.mod names no module")
}

func collectFile(docs map[string]string, pkg string, file *ast.File) {
	for _, decl := range file.Decls {
		types, ok := decl.(*ast.GenDecl)
		if !ok || types.Tok != token.TYPE {
			continue
		}
		for _, spec := range types.Specs {
			named := spec.(*ast.TypeSpec)
			body, ok := named.Type.(*ast.StructType)
			if !ok {
				continue
			}
			doc := named.Doc
			if doc == nil {
				doc = types.Doc
			}
			collectStruct(docs, pkg+"."+named.Name.Name, doc, body)
		}
	}
}

func collectStruct(docs map[string]string, name string, doc *ast.CommentGroup, body *ast.StructType) {
	tagged := false
	for _, field := range body.Fields.List {
		if !hasKey(field.Tag) {
			continue
		}
		tagged = true
		comment := field.Doc
		if comment == nil {
			comment = field.Comment
		}
		for _, ident := range field.Names {
			put(docs, name+"."+ident.Name, comment)
		}
	}
	if tagged {
		put(docs, name, doc)
	}
}

func hasKey(tag *ast.BasicLit) bool {
	if tag == nil {
		return false
	}
	text, err := strconv.Unquote(tag.Value)
	key, _, _ := strings.Cut(reflect.StructTag(text).Get("yaml"), ",")
	return err == nil && key != "" && key != "-"
}

func put(docs map[string]string, name string, comment *ast.CommentGroup) {
	if text := strings.Join(strings.Fields(comment.Text()), " "); text != "" {
		docs[name] = text
	}
}
