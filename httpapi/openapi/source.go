package openapi

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// sources is what is read of Go's own text.
type sources struct {
	comments  map[string]string   // "package.Type" and "package.Type.Field"
	constants map[string][]string // the words of string types
}

// readSources reads the packages in folders, by their paths.
func readSources(folders map[string]string) (*sources, error) {
	s := &sources{map[string]string{}, map[string][]string{}}
	for path, folder := range folders {
		files, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil {
			return nil, err
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
			if err != nil {
				return nil, err
			}
			for _, d := range file.Decls {
				if d, ok := d.(*ast.GenDecl); ok {
					s.declaration(path, d)
				}
			}
		}
	}
	return s, nil
}

func (s *sources) declaration(path string, d *ast.GenDecl) {
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			doc := spec.Doc.Text()
			if doc == "" {
				doc = d.Doc.Text()
			}
			name := path + "." + spec.Name.Name
			s.comments[name] = sentence(spec.Name.Name, doc)
			if of, ok := spec.Type.(*ast.StructType); ok {
				for _, field := range of.Fields.List {
					for _, f := range field.Names {
						s.comments[name+"."+f.Name] = sentence(f.Name, field.Doc.Text()+field.Comment.Text())
					}
				}
			}
		case *ast.ValueSpec:
			of, named := spec.Type.(*ast.Ident)
			if d.Tok != token.CONST || !named {
				continue
			}
			for _, v := range spec.Values {
				if literal, ok := v.(*ast.BasicLit); ok && literal.Kind == token.STRING {
					word, _ := strconv.Unquote(literal.Value) // as the parser has read it
					s.constants[path+"."+of.Name] = append(s.constants[path+"."+of.Name], word)
				}
			}
		}
	}
}

// codeWords are words of the API that a comment begins with: what it says holds for them.
var codeWords = regexp.MustCompile(`^([a-z_]+, )*[a-z_]+:|^[a-z]+_`)

// sentence makes a description of a comment: without the name that Go's begin with.
func sentence(name, comment string) string {
	text := strings.Join(strings.Fields(comment), " ")
	if rest, ok := strings.CutPrefix(text, name+" "); ok {
		text = rest
		for _, verb := range []string{"is ", "are "} {
			text = strings.TrimPrefix(text, verb)
		}
	}
	first, size := utf8.DecodeRuneInString(text)
	if first == utf8.RuneError {
		return ""
	}
	if !codeWords.MatchString(text) {
		text = string(unicode.ToUpper(first)) + text[size:]
	}
	if !strings.HasSuffix(text, ".") {
		text += "."
	}
	return text
}

// comment gives what is said of a type, or of its field.
func (s *sources) comment(t reflect.Type, field string) string {
	name := t.PkgPath() + "." + t.Name()
	if field != "" {
		name += "." + field
	}
	return s.comments[name]
}
