package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"doorbuster/engine"
)

// neverOver has the alarms that nothing ends, and why.
var neverOver = map[engine.AlarmName]string{
	engine.AlarmListingFrozen: "an invariant broke: the state says so, and what it says stays over a start",
}

// TestEveryAlarmIsRaisedAndHealed: of each kind there is a test that breaks what it is about,
// and awaits that a node lists it; and that it does not any more, once that is mended.
func TestEveryAlarmIsRaisedAndHealed(t *testing.T) {
	kinds := engine.AlarmKinds()
	raised, healed := map[engine.AlarmName]bool{}, map[engine.AlarmName]bool{}
	err := filepath.WalkDir(".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range file.Decls {
			f, is := d.(*ast.FuncDecl)
			if !is {
				continue
			}
			here := map[engine.AlarmName]bool{} // that it is over says nothing where it was not on before
			for _, c := range awaitsOf(f) {
				at := path + ": " + f.Name.Name
				switch {
				case !slices.ContainsFunc(kinds, func(k engine.AlarmKind) bool { return k.Name == c.name }):
					t.Errorf("%s awaits %s of %q, which is no alarm", at, c.method, c.name)
				case c.method == "Raised":
					raised[c.name], here[c.name] = true, true
				case !here[c.name]:
					t.Errorf("%s awaits that %s is over, and not that it was on", at, c.name)
				default:
					healed[c.name] = true
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kinds {
		if !raised[k.Name] {
			t.Errorf("no test breaks what %s is about: await Raised(%[1]q) in one that does", k.Name)
		}
		switch why, never := neverOver[k.Name]; {
		case never && healed[k.Name]:
			t.Errorf("%s ends, and is said not to: %s", k.Name, why)
		case !never && raised[k.Name] && !healed[k.Name]:
			t.Errorf("no test mends what %s is about: await Healed(%[1]q) where it is raised", k.Name)
		}
	}
	for name := range neverOver {
		if !slices.ContainsFunc(kinds, func(k engine.AlarmKind) bool { return k.Name == name }) {
			t.Errorf("neverOver has %q, which is no alarm", name)
		}
	}
}

// awaited is a call of Raised or Healed.
type awaited struct {
	method string
	name   engine.AlarmName
}

// awaitsOf gives those of a function, in the order in which they are written.
func awaitsOf(f *ast.FuncDecl) (all []awaited) {
	ast.Inspect(f, func(n ast.Node) bool {
		call, is := n.(*ast.CallExpr)
		if !is || len(call.Args) == 0 {
			return true
		}
		to, is := call.Fun.(*ast.SelectorExpr)
		if !is || to.Sel.Name != "Raised" && to.Sel.Name != "Healed" {
			return true
		}
		if text, is := call.Args[0].(*ast.BasicLit); is && text.Kind == token.STRING {
			name, _ := strconv.Unquote(text.Value) // it was parsed
			all = append(all, awaited{to.Sel.Name, engine.AlarmName(name)})
		}
		return true
	})
	return all
}
