package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// What a reader takes in at once.
const (
	mostColumns    = 120 // a tab is four
	mostParameters = 6   // a struct beyond
	mostMethods    = 10  // of an interface
)

// TestBoundsForPeople: no line, parameter list or interface is longer than people read
// well.
func TestBoundsForPeople(t *testing.T) {
	files := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, ".pb.go") ||
			strings.HasSuffix(path, "example_test.go") { // whose output stands in comments
			return err
		}
		files++
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		quoted := map[int]bool{} // lines with text that is sent or printed as it stands
		ast.Inspect(file, func(n ast.Node) bool {
			switch x := n.(type) {
			case *ast.BasicLit:
				long := x.Value[0] == '`' || len(x.Value) > mostColumns/2 && strings.HasSuffix(path, "_test.go")
				for i := set.Position(x.Pos()).Line; long && i <= set.Position(x.End()).Line; i++ {
					quoted[i] = true
				}
			case *ast.FuncType:
				if k := x.Params.NumFields(); k > mostParameters && !fuzzes(x) {
					t.Errorf("%s: %d parameters, %d at most", set.Position(x.Pos()), k, mostParameters)
				}
			case *ast.InterfaceType:
				if k := x.Methods.NumFields(); k > mostMethods {
					t.Errorf("%s: %d methods, %d at most", set.Position(x.Pos()), k, mostMethods)
				}
			}
			return true
		})
		for i, line := range bytes.Split(text, []byte("\n")) {
			columns := utf8.RuneCount(line) + 3*bytes.Count(line, []byte("\t"))
			if columns > mostColumns && !quoted[i+1] && !bytes.HasPrefix(line, []byte("//go:")) {
				t.Errorf("%s:%d: %d columns, %d at most", path, i+1, columns, mostColumns)
			}
		}
		return nil
	})
	if err != nil || files < 300 {
		t.Error(files, err)
	}
}

// fuzzes reports whether a function is a fuzz target, whose parameters are its input.
func fuzzes(f *ast.FuncType) bool {
	pointer, ok := f.Params.List[0].Type.(*ast.StarExpr)
	if !ok {
		return false
	}
	of, ok := pointer.X.(*ast.SelectorExpr)
	return ok && of.Sel.Name == "T"
}
