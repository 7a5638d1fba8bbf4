// Package docs holds the documents to the source: what a reader looks up must be
// there, and nothing that is gone.
package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	code = regexp.MustCompile(`^[a-z][a-z_]*$`)
	name = regexp.MustCompile(`^tollgate_[a-z_]+$`)
	// named is a test that a document names; declared one in the source.
	named    = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+)`")
	declared = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9]+)\(`)
	// row is a line of a table that begins with a word in backquotes.
	row = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|")
)

// TestErrorsAreDocumented compares errors.md with the codes of all problems.
func TestErrorsAreDocumented(t *testing.T) {
	t.Parallel()
	compare(t, "errors.md", documented(t, "errors.md", code), problemCodes(t))
}

// TestMetricsAreDocumented compares operators.md with the names of all metrics.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	compare(t, "operators.md", documented(t, "operators.md", name), metricNames(t))
}

// TestNamedTestsExist looks for each test that auditors.md calls a proof.
func TestNamedTestsExist(t *testing.T) {
	t.Parallel()
	tests := make(map[string]bool)
	walk(t, "_test.go", func(path string) {
		maps.Copy(tests, matches(t, path, declared))
	})
	for test := range matches(t, "auditors.md", named) {
		if !tests[test] {
			t.Errorf("auditors.md names %s, which is not there", test)
		}
	}
}

func compare(t *testing.T, document string, documented, spoken map[string]bool) {
	t.Helper()
	if len(spoken) == 0 {
		t.Fatal("nothing found in the source: the search is broken")
	}
	for word := range spoken {
		if !documented[word] {
			t.Errorf("%s has no row for %s", document, word)
		}
	}
	for word := range documented {
		if !spoken[word] {
			t.Errorf("%s has a row for %s, which is not in the source", document, word)
		}
	}
}

// documented gives the words that rows of the document begin with, if they look like wanted.
func documented(t *testing.T, document string, wanted *regexp.Regexp) map[string]bool {
	t.Helper()
	words := matches(t, document, row)
	maps.DeleteFunc(words, func(word string, _ bool) bool { return !wanted.MatchString(word) })
	return words
}

// matches gives what the pattern's group matches in the file.
func matches(t *testing.T, path string, pattern *regexp.Regexp) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	words := make(map[string]bool)
	for _, match := range pattern.FindAllSubmatch(text, -1) {
		words[string(match[1])] = true
	}
	return words
}

// problemCodes gives the code of each problem.New(status, code, detail). A code is
// written out there, or is a constant of the same package.
func problemCodes(t *testing.T) map[string]bool {
	t.Helper()
	codes := make(map[string]bool)
	for _, files := range source(t) {
		constants := stringConstants(files)
		inspect(files, func(n ast.Node) {
			call, ok := n.(*ast.CallExpr)
			if !ok || !isProblemNew(call) {
				return
			}
			switch arg := call.Args[1].(type) {
			case *ast.BasicLit:
				codes[unquote(arg)] = true
			case *ast.Ident:
				codes[constants[arg.Name]] = true
			default:
				t.Errorf("a problem's code is neither a string nor a constant: %T", arg)
			}
		})
	}
	return codes
}

func isProblemNew(call *ast.CallExpr) bool {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || selector.Sel.Name != "New" || len(call.Args) != 3 {
		return false
	}
	pkg, ok := selector.X.(*ast.Ident)
	return ok && pkg.Name == "problem"
}

// metricNames gives all strings that look like the name of a metric.
func metricNames(t *testing.T) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	for _, files := range source(t) {
		inspect(files, func(n ast.Node) {
			if literal, ok := n.(*ast.BasicLit); ok && name.MatchString(unquote(literal)) {
				names[unquote(literal)] = true
			}
		})
	}
	return names
}

// source parses the files that are not tests, by folder.
func source(t *testing.T) map[string][]*ast.File {
	t.Helper()
	folders := make(map[string][]*ast.File)
	walk(t, ".go", func(path string) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		folders[filepath.Dir(path)] = append(folders[filepath.Dir(path)], file)
	})
	return folders
}

// walk visits the files of the module whose names end like this.
func walk(t *testing.T, end string, visit func(path string)) {
	t.Helper()
	for _, root := range []string{"../internal", "../caddymodules", "../backends", "../test"} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Name() == "node_modules" {
				return fs.SkipDir
			}
			if err == nil && strings.HasSuffix(path, end) {
				visit(path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func inspect(files []*ast.File, visit func(ast.Node)) {
	for _, file := range files {
		for n := range ast.Preorder(file) {
			visit(n)
		}
	}
}

// stringConstants gives the values of a package's string constants.
func stringConstants(files []*ast.File) map[string]string {
	values := make(map[string]string)
	inspect(files, func(n ast.Node) {
		if spec, ok := n.(*ast.ValueSpec); ok {
			maps.Copy(values, valuesOf(spec))
		}
	})
	return values
}

func valuesOf(spec *ast.ValueSpec) map[string]string {
	values := make(map[string]string)
	for i, value := range spec.Values {
		if literal, ok := value.(*ast.BasicLit); ok && i < len(spec.Names) {
			values[spec.Names[i].Name] = unquote(literal)
		}
	}
	return values
}

// unquote gives the value of a string literal; nothing for any other.
func unquote(literal *ast.BasicLit) string {
	if literal.Kind != token.STRING {
		return ""
	}
	value, err := strconv.Unquote(literal.Value)
	if err != nil {
		return ""
	}
	return value
}
