package astern_test

import (
	"fmt"
	"go/ast"
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

	"golang.org/x/mod/modfile"
)

// The limits of this code base. There is no list of exceptions: what does not fit is split, renamed or moved.
const (
	module       = "github.com/astern-dev/astern"
	maxFile      = 800 // lines
	maxFunc      = 80  // lines, outside of tests
	maxInterface = 5   // methods
	maxModel     = 60  // lines of code
)

// pure are the packages that work on plain data alone. The ledger is one of them: what keeps its events is passed in.
var pure = []string{"", "internal/readiness", "internal/diagnose", "internal/planner", "internal/planfile",
	"internal/policy", "internal/ledger", "internal/detect", "internal/view", "internal/pattern", "internal/knowledge", "internal/incident", "internal/watch", "internal/replay", "internal/chart", "internal/report",
	"internal/signal", "internal/signal/exposition", "internal/notice", "internal/iampolicy", "internal/canonical"}

// forNobody are names that say nothing about what a package is for.
var forNobody = []string{"util", "utils", "common", "helper", "helpers", "manager", "base", "types"}

// law is one rule on what packages may import. In and to match package folders of this module; a pattern that ends in
// "/" matches everything below it.
type law struct {
	in, except []string
	may        []string // when set, the only packages of this module that it may import
	not        []string // packages of this module that it may never import
	outside    func(importPath string) bool
	because    string
}

var laws = []law{
	{in: []string{""}, may: []string{}, outside: func(p string) bool { return strings.Contains(strings.Split(p, "/")[0], ".") },
		because: "the root package is the vocabulary: it imports only the standard library; move the code that needs more below internal/"},
	{in: pure, may: pure, outside: touchesWorld,
		because: "it is pure (plain data in, plain data out; no network, file, process or clock); pass in what it needs as a value"},
	{in: []string{"internal/view"}, may: []string{""},
		because: "view renders values of the root package and never knows what produced them; put the value's type into the root package"},
	{in: []string{"internal/driver/"}, may: []string{"", "internal/host", "internal/secret", "internal/awsapi", "internal/awsapi/s3rules", "internal/pattern"},
		because: "a driver knows its kind and nothing else, so that it can be written and tested alone; let internal/app pass in the rest"},
	{in: []string{"internal/engine", "internal/engine/"}, not: []string{"internal/driver/", "internal/store/", "internal/app", "internal/cli"},
		because: "the engine sees drivers and stores only through its own small interfaces; widen those instead"},
	{in: []string{"internal/store/"}, not: []string{"internal/driver/", "internal/app", "internal/cli"},
		because: "a store keeps records and knows nothing of what they mean"},
	{in: []string{"", "cmd/", "internal/", "client"}, except: []string{"internal/app"}, not: []string{"internal/driver/"},
		because: "internal/app alone joins drivers with the rest; ask it"},
	{in: []string{"", "cmd/", "internal/", "client"}, except: []string{"internal/driver/hostservice", "internal/lab"}, // the one only writes archives, the other bounds what comes out (unzip)
		outside: func(p string) bool { return strings.HasPrefix(p, "archive/") || strings.HasPrefix(p, "compress/") },
		because: "nothing of astern opens archives or decompresses, so there is no bomb to be hit by; whoever needs it bounds what comes out, and says so here"},
	{in: []string{"internal/lab"}, may: []string{"", "internal/proc"},
		because: "the lab is the cloud, not a part of astern: what astern believes of AWS must not come from astern"},
	{in: []string{"", "cmd/", "internal/", "client"}, except: []string{"internal/cli", "internal/lab/labtest", "internal/awsapi/awstest"}, not: []string{"internal/lab"},
		because: "nothing knows whether it talks to AWS or to the lab; only the command line and tests start one"},
	{in: []string{"", "cmd/", "internal/", "client"},
		outside: func(p string) bool { return p == "text/template" || p == "html/template" },
		because: "templates call methods by name, so that the linker keeps every method of every package: half of the binary's size; write with html.EscapeString, as internal/report does"},
	{in: []string{"cmd/"}, may: []string{"", "client", "internal/app", "internal/cli", "internal/server", "internal/store/"},
		because: "a command only wires; move the work into the package it belongs to"},
}

// touchesWorld tells imports that a pure package must not have; net/url and net/netip only parse.
func touchesWorld(p string) bool {
	if p == "net/url" || p == "net/netip" {
		return false
	}
	return slices.Contains([]string{"net", "os", "syscall", "database/sql", "math/rand", "math/rand/v2", "crypto/rand"}, p) ||
		strings.HasPrefix(p, "net/") || strings.HasPrefix(p, "os/") || strings.HasPrefix(p, "golang.org/x/sys")
}

func within(patterns []string, folder string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		return p == folder || strings.HasSuffix(p, "/") && strings.HasPrefix(folder, p)
	})
}

type source struct {
	name   string // slash-separated, from the module's root
	folder string // "" for the root package
	test   bool
	lines  int
	file   *ast.File
}

// imports returns the import paths of the file, and those of them that are of this module as folders.
func (s source) imports() (all, folders []string) {
	for _, i := range s.file.Imports {
		p, _ := strconv.Unquote(i.Path.Value) // the parser has accepted it
		all = append(all, p)
		if p == module || strings.HasPrefix(p, module+"/") {
			folders = append(folders, strings.TrimPrefix(strings.TrimPrefix(p, module), "/"))
		}
	}
	return all, folders
}

var fset = token.NewFileSet()

// sources parses every Go file of the module.
func sources(t *testing.T) []source {
	t.Helper()
	var out []source
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, otherModule := os.Stat(filepath.Join(p, "go.mod"))
			if p != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin" || otherModule == nil) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(fset, p, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(p)
		folder := path.Dir(name)
		if folder == "." {
			folder = ""
		}
		out = append(out, source{name, folder, strings.HasSuffix(name, "_test.go"), strings.Count(string(text), "\n"), f})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestHouseImports(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		all, folders := s.imports()
		for _, l := range laws {
			if !within(l.in, s.folder) || within(l.except, s.folder) {
				continue
			}
			for _, f := range folders {
				if f != s.folder && (l.may != nil && !within(l.may, f) || within(l.not, f)) {
					t.Errorf("%s imports %s/%s: %s", s.name, module, f, l.because)
				}
			}
			for _, p := range all {
				if l.outside != nil && !strings.HasPrefix(p, module) && l.outside(p) {
					t.Errorf("%s imports %s: %s", s.name, p, l.because)
				}
			}
		}
	}
}

func TestHouseClocks(t *testing.T) {
	clocks := []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}
	for _, s := range sources(t) {
		if s.test || !slices.Contains(pure, s.folder) {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clocks, sel.Sel.Name) {
					t.Errorf("%s uses time.%s: pure code is told the time, so that it can be tested; take it as an argument",
						fset.Position(n.Pos()), sel.Sel.Name)
				}
			}
			return true
		})
	}
}

func TestHouseSizes(t *testing.T) {
	for _, s := range sources(t) {
		if s.lines > maxFile {
			t.Errorf("%s has %d lines, %d are allowed: one story a file; split it by story", s.name, s.lines, maxFile)
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				lines := fset.Position(n.End()).Line - fset.Position(n.Pos()).Line + 1
				if !s.test && lines > maxFunc {
					t.Errorf("%s: function %s has %d lines, %d are allowed: name its parts and call them",
						fset.Position(n.Pos()), n.Name.Name, lines, maxFunc)
				}
				if n.Recv == nil && n.Name.Name == "init" {
					t.Errorf("%s: init() runs before anybody asked and can't fail; call it from where it is needed", fset.Position(n.Pos()))
				}
			case *ast.InterfaceType:
				methods := 0
				for _, m := range n.Methods.List {
					methods += len(m.Names)
				}
				if methods > maxInterface {
					t.Errorf("%s: an interface of %d methods, %d are allowed: who uses it needs less; cut it by user",
						fset.Position(n.Pos()), methods, maxInterface)
				}
			}
			return true
		})
	}
}

// What a package does when the program starts, every command pays for.
func TestHouseStart(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || strings.HasPrefix(s.folder, "scripts/") || strings.HasPrefix(s.folder, "examples/") {
			continue
		}
		for _, d := range s.file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			ast.Inspect(g, func(n ast.Node) bool {
				if sel, ok := n.(*ast.SelectorExpr); ok && strings.HasPrefix(sel.Sel.Name, "MustCompile") {
					t.Errorf("%s compiles a regular expression at each start of the program; use internal/pattern", fset.Position(n.Pos()))
				}
				_, inFunction := n.(*ast.FuncLit)
				return !inFunction
			})
		}
	}
}

func TestHouseNamesAndComments(t *testing.T) {
	packages, documented := map[string]string{}, map[string]bool{}
	for _, s := range sources(t) {
		if name := strings.TrimSuffix(s.file.Name.Name, "_test"); slices.Contains(forNobody, name) || slices.Contains(forNobody, path.Base(s.folder)) {
			t.Errorf("%s: package %s says nothing about what it is for; name it after that", s.name, name)
		}
		if s.test {
			continue
		}
		packages[s.folder] = s.name
		documented[s.folder] = documented[s.folder] || s.file.Doc.Text() != ""
		for _, d := range s.file.Decls {
			for _, name := range undocumented(d) {
				t.Errorf("%s: %s is exported without a comment; say what it is for, its errors, who owns what",
					fset.Position(d.Pos()), name)
			}
		}
	}
	for folder, name := range packages {
		if !documented[folder] {
			t.Errorf("the package of %s has no comment; say above `package` what it is for and what it leaves to others", name)
		}
	}
}

// undocumented returns the exported names that a declaration introduces without a comment. The comment of a group counts
// for each name of it.
func undocumented(d ast.Decl) []string {
	var out []string
	missing := func(id *ast.Ident, docs ...*ast.CommentGroup) {
		if id.IsExported() && !slices.ContainsFunc(docs, func(c *ast.CommentGroup) bool { return c.Text() != "" }) {
			out = append(out, id.Name)
		}
	}
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil || ast.IsExported(receiver(d.Recv.List[0].Type)) {
			missing(d.Name, d.Doc)
		}
	case *ast.GenDecl:
		for _, sp := range d.Specs {
			switch sp := sp.(type) {
			case *ast.TypeSpec:
				missing(sp.Name, d.Doc, sp.Doc)
			case *ast.ValueSpec:
				for _, n := range sp.Names {
					missing(n, d.Doc, sp.Doc, sp.Comment)
				}
			}
		}
	}
	return out
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// The command line has to start at once and to work with everything else gone: what only the server needs stays out.
func TestHouseCommandLinks(t *testing.T) {
	uses := map[string][]string{}
	for _, s := range sources(t) {
		if !s.test {
			all, _ := s.imports()
			uses[module+"/"+s.folder] = append(uses[module+"/"+s.folder], all...)
		}
	}
	seen, queue := map[string]bool{}, []string{module + "/cmd/astern"}
	for len(queue) > 0 {
		p := queue[0]
		queue = queue[1:]
		for _, i := range uses[p] {
			if i == "testing" || strings.HasPrefix(i, "go.temporal.io/") || strings.HasPrefix(i, "github.com/jackc/") || strings.Contains(i, "/jsonschema") {
				t.Errorf("cmd/astern links %s by way of %s: servers, their stores, test kits and libraries for JSON Schema stay out of it; import it from cmd/asternd or from a test", i, p)
			}
			if i == module {
				i += "/"
			}
			if !seen[i] && strings.HasPrefix(i, module) {
				seen[i] = true
				queue = append(queue, i)
			}
		}
	}
}

func TestHouseDependencies(t *testing.T) {
	text, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := modfile.Parse("go.mod", text, nil)
	if err != nil {
		t.Fatal(err)
	}
	doc := read(t, "docs/dependencies.md")
	for _, r := range mod.Require {
		if !r.Indirect && !strings.Contains(doc, "\n| `"+r.Mod.Path+"` |") {
			t.Errorf("docs/dependencies.md has no line for %s; say there why we need it, how alive it is, what it weighs, its licence", r.Mod.Path)
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(doc, -1) {
		if !slices.ContainsFunc(mod.Require, func(r *modfile.Require) bool { return r.Mod.Path == m[1] && !r.Indirect }) {
			t.Errorf("docs/dependencies.md speaks of %s, which go.mod does not require directly; take the line out", m[1])
		}
	}
	if len(mod.Replace)+len(mod.Exclude) > 0 {
		t.Error("go.mod has replace or exclude, which break `go install " + module + "/cmd/astern@VERSION`; pin an older version instead")
	}
}

func TestHouseDecisions(t *testing.T) {
	files, err := filepath.Glob("docs/decisions/*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("docs/decisions: %d pages, %v", len(files), err)
	}
	for i, f := range files {
		if want := fmt.Sprintf("%04d-", i+1); !strings.HasPrefix(filepath.Base(f), want) {
			t.Errorf("%s: the next decision's name starts with %s; pages are numbered without gaps and never renumbered", f, want)
		}
	}
}

// Every requirement stands once in the table, with one of three statuses; one that works or works partly names its test.
func TestHouseCoverage(t *testing.T) {
	rows := map[string]int{}
	row := regexp.MustCompile(`(?m)^\| ([ZSRDB]\d+) \|[^|]*\| (works|partly: [^|]+|missing) \| ([^|]*) \| ([^|]*) \|$`)
	for _, m := range row.FindAllStringSubmatch(read(t, "docs/coverage.md"), -1) {
		rows[m[1]]++
		if m[2] != "missing" && (strings.TrimSpace(m[3]) == "" || strings.TrimSpace(m[4]) == "") {
			t.Errorf("docs/coverage.md: %s is %q and names no command or no test", m[1], m[2])
		}
	}
	for letter, last := range map[string]int{"Z": 13, "S": 7, "R": 14, "D": 8, "B": 21} {
		for i := 1; i <= last; i++ {
			if id := letter + strconv.Itoa(i); rows[id] != 1 {
				t.Errorf("docs/coverage.md has %d rows of the form `| %s | what | works, partly: …, or missing | command | test |`, not 1", rows[id], id)
			}
		}
	}
}

// A link to a file that moved misleads a newcomer worse than none.
func TestHouseLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:\s]+)(#[^)]*)?\)`)
	docs, _ := filepath.Glob("docs/*.md")
	decisions, _ := filepath.Glob("docs/decisions/*.md")
	top, _ := filepath.Glob("*.md")
	for _, f := range slices.Concat(top, docs, decisions) {
		for _, m := range link.FindAllStringSubmatch(read(t, f), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(f), m[1])); err != nil {
				t.Errorf("%s links to %s, which does not exist; mend the link", f, m[1])
			}
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A model says what a part must do, short enough to be seen to be right: at most 60 lines of code, imports apart.
func TestHouseModels(t *testing.T) {
	wanted := []string{"internal/ledger/model_test.go", "internal/planfile/model_test.go", "internal/store/sqlite/model_test.go"}
	for _, s := range sources(t) {
		if path.Base(s.name) != "model_test.go" {
			continue
		}
		wanted = slices.DeleteFunc(wanted, func(name string) bool { return name == s.name })
		lines := 0
		for _, d := range s.file.Decls {
			if g, ok := d.(*ast.GenDecl); !ok || g.Tok != token.IMPORT {
				lines += fset.Position(d.End()).Line - fset.Position(d.Pos()).Line + 1
			}
		}
		if lines > maxModel {
			t.Errorf("%s has %d lines of code, %d are allowed: a model that must be tested itself proves nothing", s.name, lines, maxModel)
		}
	}
	for _, name := range wanted {
		t.Errorf("%s is gone: journal and leases, targets and the plan's hash have a model each", name)
	}
}

// made returns what the Makefile sets a name to.
func made(t *testing.T, name string) string {
	t.Helper()
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^` + name + `\s*:=(.*)$`).FindSubmatch(makefile)
	if m == nil {
		t.Fatalf("Makefile has no %s", name)
	}
	return strings.TrimSpace(string(m[1]))
}

// AGAIN names tests of APP, and of no other package: those would run nowhere.
func TestHouseAgain(t *testing.T) {
	parts := regexp.MustCompile(`^\^Test\(([^)]+)\)\$\$$`).FindStringSubmatch(made(t, "AGAIN"))
	if parts == nil {
		t.Fatalf("the Makefile's AGAIN is no ^Test(…)$$ any more: %s", made(t, "AGAIN"))
	}
	if b, err := os.ReadFile("Makefile"); err != nil || !strings.Contains(string(b), "-run '$(AGAIN)' $(APP)") {
		t.Errorf("the Makefile does not run AGAIN without the race detector: %v", err)
	}
	app := strings.TrimPrefix(made(t, "APP"), "./")
	for name := range strings.SplitSeq(parts[1], "|") {
		found := false
		for _, s := range sources(t) {
			for _, d := range s.file.Decls {
				f, ok := d.(*ast.FuncDecl)
				if !ok || f.Recv != nil || f.Name.Name != "Test"+name {
					continue
				}
				if found = s.folder == app; !found {
					t.Errorf("%s: AGAIN in the Makefile leaves out this test, which then runs nowhere: give it another name", fset.Position(f.Pos()))
				}
			}
		}
		if !found {
			t.Errorf("the Makefile's AGAIN names Test%s, which %s does not have", name, app)
		}
	}
}

// begins reports whether a node starts a goroutine: by the statement, by a WaitGroup or an errgroup, by package context or time.
func begins(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GoStmt:
		return true
	case *ast.CallExpr:
		f, ok := n.Fun.(*ast.SelectorExpr)
		return ok && (f.Sel.Name == "Go" || f.Sel.Name == "AfterFunc")
	}
	return false
}

// The tests of what the Makefile lists as ALONE run without the race detector: its packages start nothing that runs side by side.
// Neither does the STORE itself (see TestHouseAtOnce), but for one timer, whose tests AT_ONCE names.
func TestHouseAlone(t *testing.T) {
	alone := map[string]int{} // files
	for _, folder := range strings.Fields(made(t, "ALONE") + " " + made(t, "STORE")) {
		alone[strings.TrimPrefix(folder, "./")] = 0
	}
	store := strings.TrimPrefix(made(t, "STORE"), "./")
	for _, s := range sources(t) {
		if _, ok := alone[s.folder]; !ok || s.folder == store && s.test {
			continue
		}
		if alone[s.folder]++; s.file.Name.Name == "main" {
			continue // a program, of which only the simulations are tested
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if f, ok := n.(*ast.FuncDecl); ok && s.folder == store && f.Name.Name == "restSoon" {
				return false
			}
			if begins(n) {
				t.Errorf("%s starts a goroutine: take %s out of ALONE or STORE in the Makefile, so that the race detector sees it", fset.Position(n.Pos()), s.folder)
			}
			return true
		})
	}
	for folder, files := range alone {
		if files == 0 {
			t.Errorf("the Makefile's ALONE or STORE names %s, where no Go is", folder)
		}
	}
}

// AT_ONCE names what of PROGRAM and STORE runs with the race detector: all that it names is there, and so is each test of the store
// that starts a goroutine.
func TestHouseAtOnce(t *testing.T) {
	parts := regexp.MustCompile(`^\^Test\(([^)]+)\)\|\^TestScripts\$\$/\^\(([^)]+)\)\$\$$`).FindStringSubmatch(made(t, "AT_ONCE"))
	if parts == nil {
		t.Fatalf("the Makefile's AT_ONCE is no ^Test(…)|^TestScripts$$/^(…)$$ any more: %s", made(t, "AT_ONCE"))
	}
	program, store := strings.TrimPrefix(made(t, "PROGRAM"), "./"), strings.TrimPrefix(made(t, "STORE"), "./")
	for name := range strings.SplitSeq(parts[2], "|") {
		if _, err := os.Stat(filepath.Join(program, "testdata", "script", name+".txt")); err != nil {
			t.Errorf("the Makefile's AT_ONCE names a script that is gone: %v", err)
		}
	}
	begin := strings.Split(parts[1], "|")
	used := map[string]bool{}
	for _, s := range sources(t) {
		if s.folder != program && s.folder != store {
			continue
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || !strings.HasPrefix(f.Name.Name, "Test") {
				continue
			}
			named := false
			for _, b := range begin {
				if strings.HasPrefix(f.Name.Name, "Test"+b) {
					named, used[b] = true, true
				}
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if n != nil && begins(n) && !named {
					t.Errorf("%s: %s starts a goroutine: name it in AT_ONCE in the Makefile, so that the race detector sees it", fset.Position(n.Pos()), f.Name.Name)
				}
				return true
			})
		}
	}
	for _, b := range begin {
		if !used[b] {
			t.Errorf("the Makefile's AT_ONCE names Test%s, which is gone", b)
		}
	}
}
