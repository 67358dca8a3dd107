package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// variable tells a test binary which mutant is on.
const variable = "ASTERN_MUTANT"

// traced names the file to which a test binary appends the number of each mutant to whose code it comes, if any.
const traced = "ASTERN_MUTANT_REACHED"

// switches is the code that the mutants of a package call, without its package clause.
const switches = `

import (
	mutantOS "os"
	mutantSync "sync"
)

var (
	mutantNumber = mutantOS.Getenv("` + variable + `")
	mutantTrace  = mutantOS.Getenv("` + traced + `")
	mutantSeen   mutantSync.Map
)

func mutantIs(number string) bool {
	if mutantTrace != "" {
		mutantReached(number)
	}
	return mutantNumber == number
}

func mutantReached(number string) {
	if _, before := mutantSeen.LoadOrStore(number, true); before {
		return
	}
	if f, err := mutantOS.OpenFile(mutantTrace, mutantOS.O_APPEND|mutantOS.O_WRONLY, 0); err == nil {
		f.WriteString(number + "\n")
		f.Close()
	}
}

func mutantNil(number string, err error) error {
	if mutantIs(number) {
		return nil
	}
	return err
}

func mutantPlus[T ~int | ~int64 | ~uint32 | ~string | ~float64](number string, a, b T) T {
	if !mutantIs(number) {
		return a + b
	}
	return a
}

func mutantMinus[T ~int | ~int64 | ~uint32 | ~float64](number string, a, b T) T {
	if !mutantIs(number) {
		return a - b
	}
	return a
}

var _, _, _ = mutantNil, mutantPlus[int], mutantMinus[int]
`

// mutant is one small change of the code.
type mutant struct {
	number, line int
	key          string // tells it apart as long as its file is the same
	path, change string
	code         string // what is changed, on one line
	survived     bool
}

// name tells a mutant apart without its line, which moves.
func (m mutant) name() string { return m.path + ": " + m.change + ": " + m.code }

// mutator writes the mutants of one file into its text. It only inserts: every changed piece of code stands there as it is
// and as it is changed, with a question in between.
type mutator struct {
	path   string
	src    []byte
	set    *token.FileSet
	first  int    // how many mutants there are in the files before
	hash   string // of the file
	found  []mutant
	opens  map[int][]string
	closes map[int][]string
}

func (m *mutator) offset(p token.Pos) int { return m.set.Position(p).Offset }

func (m *mutator) text(n ast.Node) string { return string(m.src[m.offset(n.Pos()):m.offset(n.End())]) }

// add notes a mutant of a piece of code and returns the number by which it is turned on.
func (m *mutator) add(n ast.Node, change string) string {
	code := strings.Join(strings.Fields(m.text(n)), " ")
	if r := []rune(code); len(r) > 100 {
		code = string(r[:100]) + "…"
	}
	number := m.first + len(m.found) + 1
	m.found = append(m.found, mutant{number: number, key: fmt.Sprintf("%s-%d", m.hash, len(m.found)+1), line: m.set.Position(n.Pos()).Line, path: m.path, change: change,
		code: strings.ReplaceAll(code, "`", "'")})
	return fmt.Sprintf("%q", fmt.Sprint(number))
}

// around puts text before and behind a piece of code. What is put around it first is outermost.
func (m *mutator) around(n ast.Node, before, behind string) {
	from, to := m.offset(n.Pos()), m.offset(n.End())
	m.opens[from] = append(m.opens[from], before)
	m.closes[to] = append(m.closes[to], behind)
}

// either makes a condition that is other when the mutant is on.
func (m *mutator) either(n ast.Node, change, other string) {
	number := m.add(n, change)
	m.around(n, fmt.Sprintf("(mutantIs(%s) && (%s) || !mutantIs(%s) && (", number, other, number), "))")
}

// negate makes a condition that is the contrary when the mutant is on.
func (m *mutator) negate(n ast.Expr) {
	if p, ok := n.(*ast.ParenExpr); ok {
		n = p.X
	}
	if b, ok := n.(*ast.BinaryExpr); ok && (others[b.Op] != token.ILLEGAL) {
		return // changed by its operator
	}
	m.around(n, "(mutantIs("+m.add(n, "negated")+") != (", "))")
}

// others are operators that stand in for operators.
var others = map[token.Token]token.Token{token.EQL: token.NEQ, token.NEQ: token.EQL, token.LSS: token.GEQ, token.GEQ: token.LSS,
	token.GTR: token.LEQ, token.LEQ: token.GTR, token.LAND: token.LOR, token.LOR: token.LAND}

// edges are operators that differ from operators only where both sides are equal.
var edges = map[token.Token]token.Token{token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR}

// mutated returns the text of the file with all its mutants.
func (m *mutator) mutated(file *ast.File) []byte {
	m.opens, m.closes = map[int][]string{}, map[int][]string{}
	var results []*ast.FieldList
	var open []ast.Node
	ast.Inspect(file, func(n ast.Node) bool {
		if n == nil {
			switch open[len(open)-1].(type) {
			case *ast.FuncDecl, *ast.FuncLit:
				results = results[:len(results)-1]
			}
			open = open[:len(open)-1]
			return true
		}
		switch n := n.(type) {
		case *ast.GenDecl:
			if n.Tok != token.VAR {
				return false
			}
		case *ast.FuncDecl:
			results = append(results, n.Type.Results)
		case *ast.FuncLit:
			results = append(results, n.Type.Results)
		case *ast.ReturnStmt:
			m.returned(n, results[len(results)-1])
		case *ast.BinaryExpr:
			m.binary(n)
		case *ast.IfStmt:
			m.negate(n.Cond)
		case *ast.ForStmt:
			if n.Cond != nil {
				m.negate(n.Cond)
			}
		case *ast.SwitchStmt:
			m.cases(n)
		case *ast.BlockStmt:
			m.statements(n.List)
		case *ast.CaseClause:
			m.statements(n.Body)
		case *ast.CommClause:
			m.statements(n.Body)
		}
		open = append(open, n)
		return true
	})
	return m.joined()
}

// joined returns the text with everything that was put around its pieces.
func (m *mutator) joined() []byte {
	var out []byte
	for i := range len(m.src) + 1 {
		for _, text := range slices.Backward(m.closes[i]) {
			out = append(out, text...)
		}
		for _, text := range m.opens[i] {
			out = append(out, text...)
		}
		if i < len(m.src) {
			out = append(out, m.src[i])
		}
	}
	return out
}

func (m *mutator) binary(n *ast.BinaryExpr) {
	x, y := m.text(n.X), m.text(n.Y)
	if other := others[n.Op]; other != token.ILLEGAL {
		m.either(n, n.Op.String()+" to "+other.String(), x+" "+other.String()+" "+y)
	}
	if other := edges[n.Op]; other != token.ILLEGAL {
		m.either(n, n.Op.String()+" to "+other.String(), x+" "+other.String()+" "+y)
	}
	if n.Op == token.LAND || n.Op == token.LOR {
		m.negate(n.X)
		m.negate(n.Y)
	}
	if helper := map[token.Token]string{token.ADD: "mutantPlus", token.SUB: "mutantMinus"}[n.Op]; helper != "" && !literal(n) {
		number := m.add(n, "without the right side")
		from, to := m.offset(n.X.End()), m.offset(n.Y.Pos())
		m.around(n, helper+"("+number+", ", ")")
		for i := from; i < to; i++ { // the operator becomes a comma
			if string(m.src[i]) == n.Op.String() {
				m.src = slices.Clone(m.src)
				m.src[i] = ','
				break
			}
		}
	}
}

// literal reports whether a sum is of text for people, or of constants.
func literal(n *ast.BinaryExpr) bool {
	text, constant := false, true
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			text = text || n.Kind == token.STRING
		case *ast.Ident, *ast.CallExpr:
			constant = false
		}
		return true
	})
	return text || constant
}

func (m *mutator) cases(n *ast.SwitchStmt) {
	if n.Tag != nil {
		return
	}
	for _, c := range n.Body.List {
		for _, e := range c.(*ast.CaseClause).List {
			m.negate(e)
		}
	}
}

// returned changes the last value that a function returns: no error, the contrary of a bool.
func (m *mutator) returned(n *ast.ReturnStmt, results *ast.FieldList) {
	if results == nil || len(n.Results) == 0 || results.NumFields() != len(n.Results) {
		return
	}
	last := n.Results[len(n.Results)-1]
	switch kind := m.text(results.List[len(results.List)-1].Type); {
	case kind == "error" && m.text(last) != "nil":
		m.around(last, "mutantNil("+m.add(last, "error swallowed")+", ", ")")
	case kind == "bool":
		m.negate(last)
	}
}

// statements leaves out each statement whose absence still compiles.
func (m *mutator) statements(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.ExprStmt:
			if strings.HasPrefix(m.text(s), "panic(") {
				continue
			}
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE || m.text(s.Lhs[0]) == "_" {
				continue
			}
		case *ast.BranchStmt:
			if s.Tok == token.FALLTHROUGH {
				continue
			}
		case *ast.IncDecStmt:
		default:
			continue
		}
		m.around(s, "if !mutantIs("+m.add(s, "left out")+") { ", " }")
	}
}
