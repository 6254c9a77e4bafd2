package main

import (
	"fmt"
	"os"

	"github.com/sluiceproxy/sluice/core/config/internal/fielddoc"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: docgen MODULE_ROOT OUTPUT")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "docgen:", err)
		os.Exit(1)
	}
}

func write(root, output string) error {
	text, err := fielddoc.Collect(os.DirFS(root))
	if err != nil {
		return err
	}
	return os.WriteFile(output, text, 0o644)
}
