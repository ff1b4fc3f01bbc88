package play

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
	lru "github.com/hashicorp/golang-lru/v2"

	"doorbuster/engine"
)

// Bounds of what expressions cost. One of engine.MaxFormulaBytes can't loop and has at
// most half as many operators; each is a step.
const (
	maxSteps  = 500
	maxNested = 50
	// maxCompiled bounds the programs that are kept: some 10 KB each.
	maxCompiled = 1000
)

// variable is what expressions may ask about.
type variable struct {
	name  string
	truth bool
	of    func(in *engine.FormulaInput) any
}

var variables = []variable{
	{"start", false, func(in *engine.FormulaInput) any { return in.Start }},
	{"floor", false, func(in *engine.FormulaInput) any { return in.Floor }},
	{"stock", false, func(in *engine.FormulaInput) any { return in.Stock }},
	{"sold", false, func(in *engine.FormulaInput) any { return in.Sold }},
	{"elapsed", false, func(in *engine.FormulaInput) any { return in.Elapsed }},
	{"quantity", false, func(in *engine.FormulaInput) any { return in.Quantity }},
	{"first_today", true, func(in *engine.FormulaInput) any { return in.FirstToday }},
	{"risk", false, func(in *engine.FormulaInput) any { return in.Risk }},
	{"new_friend", true, func(in *engine.FormulaInput) any { return in.NewFriend }},
	{"cuts", false, func(in *engine.FormulaInput) any { return in.Cuts }},
	{"helps_today", false, func(in *engine.FormulaInput) any { return in.HelpsToday }},
}

// known are the variables that each kind of expression may ask about.
var known = [...][]string{
	engine.FormulaPrice: {"start", "floor", "stock", "sold", "elapsed", "quantity", "first_today", "risk"},
	engine.FormulaWho:   {"first_today", "risk", "quantity", "elapsed"},
	engine.FormulaWeight: {"new_friend", "cuts", "helps_today", "elapsed", "risk", "start",
		"floor"},
}

// functions are all that expressions may call: nothing that iterates, nothing on texts.
var functions = []string{
	operators.Conditional, operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot, operators.Equals,
	operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals,
	operators.Add, operators.Subtract, operators.Multiply, operators.Divide, operators.Modulo, operators.Negate,
	operators.In,
}

// environments are those of each kind of expression, without parameters.
var environments = sync.OnceValues(func() (of [len(known)]*cel.Env, err error) {
	standard := env.NewLibrarySubset().SetDisableMacros(true)
	for _, name := range functions {
		standard.AddIncludedFunctions(env.NewFunction(name))
	}
	pick := func(name string, second bool) cel.EnvOption {
		return cel.Function(name, cel.Overload(name+"_int_int", []*cel.Type{cel.IntType, cel.IntType}, cel.IntType,
			cel.BinaryBinding(func(a, b ref.Val) ref.Val {
				if x, y := a.(types.Int), b.(types.Int); x < y == second {
					return y
				}
				return a
			})))
	}
	for kind, names := range known {
		options := []cel.EnvOption{cel.StdLib(cel.StdLibSubset(standard)), cel.ClearMacros(),
			cel.ParserExpressionSizeLimit(engine.MaxFormulaBytes), cel.ParserRecursionLimit(maxNested),
			pick("min", false), pick("max", true)}
		for _, v := range variables {
			if slices.Contains(names, v.name) {
				options = append(options, cel.Variable(v.name, typeOf(v.truth)))
			}
		}
		if of[kind], err = cel.NewCustomEnv(options...); err != nil {
			return of, err
		}
	}
	return of, nil
})

func typeOf(truth bool) *cel.Type {
	if truth {
		return cel.BoolType
	}
	return cel.IntType
}

// Formulas evaluates expressions. It keeps those compiled that were used last.
type Formulas struct {
	programs *lru.Cache[formula, *program]
}

var _ engine.Formulas = (*Formulas)(nil)

type formula struct {
	kind engine.FormulaKind
	text string
}

// program is a compiled expression, or why there is none.
type program struct {
	cel.Program
	asks     []string // variables, each once
	literals []int64  // whole numbers in it
	err      error
}

// NewFormulas makes one with nothing compiled.
func NewFormulas() *Formulas {
	programs, err := lru.New[formula, *program](maxCompiled)
	if err != nil {
		panic("BUG: " + err.Error()) // only of a size below 1
	}
	return &Formulas{programs}
}

// Number evaluates an expression that gives a whole number.
func (f *Formulas) Number(kind engine.FormulaKind, text string, in *engine.FormulaInput) (int64, error) {
	v, err := f.evaluate(kind, text, in)
	n, _ := v.(types.Int)
	return int64(n), err
}

// Truth evaluates an expression that gives a truth value.
func (f *Formulas) Truth(text string, in *engine.FormulaInput) (bool, error) {
	v, err := f.evaluate(engine.FormulaWho, text, in)
	return v == types.True, err
}

func (f *Formulas) evaluate(kind engine.FormulaKind, text string, in *engine.FormulaInput) (ref.Val, error) {
	p := f.compiled(kind, text)
	if p.err != nil {
		return nil, p.err
	}
	v, _, err := p.Eval((*activation)(in))
	if err != nil {
		return nil, errors.New(strings.ReplaceAll(err.Error(), "modulus", "division"))
	}
	return v, nil
}

// compiled gives an expression's program.
func (f *Formulas) compiled(kind engine.FormulaKind, text string) *program {
	key := formula{kind, text}
	if p, there := f.programs.Get(key); there {
		return p
	}
	p := &program{}
	if checked, err := check(kind, text, nil); err != nil {
		p.err = err
	} else {
		p.look(checked)
		p.Program, p.err = checked.env.Program(checked.ast, cel.CostLimit(maxSteps),
			cel.EvalOptions(cel.OptOptimize))
	}
	f.programs.Add(key, p)
	return p
}

// activation gives an expression the values of its variables.
type activation engine.FormulaInput

// ResolveName finds a variable.
func (a *activation) ResolveName(name string) (any, bool) {
	for i := range variables {
		if variables[i].name == name {
			return variables[i].of((*engine.FormulaInput)(a)), true
		}
	}
	return nil, false
}

// Parent has no more of them.
func (a *activation) Parent() interpreter.Activation { return nil }

// checked is an expression whose types are right.
type checked struct {
	env *cel.Env
	ast *cel.Ast
}

// check compiles an expression in which parameters, too, are variables.
func check(kind engine.FormulaKind, text string, parameters []Parameter) (c checked, err error) {
	all, err := environments()
	if err != nil {
		return c, err
	}
	c.env = all[kind]
	var more []cel.EnvOption
	for i := range parameters {
		if p := &parameters[i]; p.Type != Text && !slices.Contains(known[kind], p.Name) {
			more = append(more, cel.Variable(p.Name, typeOf(p.Type == Boolean)))
		}
	}
	if len(more) > 0 {
		if c.env, err = c.env.Extend(more...); err != nil {
			return c, err
		}
	}
	var issues *cel.Issues
	if c.ast, issues = c.env.Compile(text); issues.Err() != nil {
		first := issues.Errors()[0]
		where := ""
		if line, column := first.Location.Line(), first.Location.Column(); line == 1 && column > 0 {
			where = fmt.Sprintf("at character %d of it: ", column+1)
		} else if line > 1 {
			where = fmt.Sprintf("at character %d of its line %d: ", column+1, line)
		}
		return c, errors.New(where + inPlainWords(first.Message, kind, parameters))
	}
	if want := typeOf(kind == engine.FormulaWho); !c.ast.OutputType().IsExactType(want) {
		return c, fmt.Errorf("gives %s, not %s%s", typeName(c.ast.OutputType()), typeName(want),
			wholeOnly(c.ast.OutputType().String()))
	}
	estimate, err := c.env.EstimateCost(c.ast, noSizes{})
	if err != nil {
		return c, err
	}
	if estimate.Max > maxSteps {
		return c, fmt.Errorf("may take %d steps, which are over %d", estimate.Max, maxSteps)
	}
	return c, nil
}

// noSizes knows nothing of sizes: there is nothing that has one but lists as written.
type noSizes struct{}

func (noSizes) EstimateSize(cost.AstNode) *cost.SizeEstimate { return nil }

func (noSizes) EstimateCallCost(_, _ string, _ *cost.AstNode, _ []cost.AstNode) *cost.CallEstimate {
	return nil
}

func typeName(t *cel.Type) string {
	switch t.Kind() {
	case types.IntKind:
		return "a whole number"
	case types.BoolKind:
		return "true or false"
	case types.StringKind:
		return "a text"
	case types.ListKind:
		return "a list"
	case types.DoubleKind:
		return "a number with a fraction"
	}
	return "a value of type " + t.String()
}

func wholeOnly(text string) string {
	if strings.Contains(text, "double") {
		return "; all numbers are whole: write start * 80 / 100 for four fifths of the start"
	}
	return ""
}

// inPlainWords says the compiler's complaint in terms of the play.
func inPlainWords(complaint string, kind engine.FormulaKind, parameters []Parameter) string {
	const undeclared, overload = "undeclared reference to '", "found no matching overload for '"
	if rest, found := strings.CutPrefix(complaint, undeclared); found {
		name, _, _ := strings.Cut(rest, "'")
		here := slices.Clone(known[kind])
		for i := range parameters {
			if parameters[i].Type == Text && parameters[i].Name == name {
				return fmt.Sprintf("%q is a text, and expressions know only numbers and truth values", name)
			}
			here = append(here, parameters[i].Name)
		}
		slices.Sort(here)
		return fmt.Sprintf("%q is nothing that it may ask about; there are %s, min and max", name,
			strings.Join(slices.Compact(here), ", "))
	}
	if rest, found := strings.CutPrefix(complaint, overload); found {
		name, of, _ := strings.Cut(rest, "' applied to '")
		return fmt.Sprintf("%s does not go with %s%s", plainOperator(name), strings.TrimSuffix(of, "'"),
			wholeOnly(of))
	}
	complaint, _, _ = strings.Cut(strings.TrimPrefix(complaint, "Syntax error: "), "\n")
	said, _, mismatched := strings.Cut(complaint, " expecting ")
	switch {
	case strings.Contains(complaint, "recursion"):
		return fmt.Sprintf("lies deeper than %d levels", maxNested)
	case strings.Contains(complaint, "code point size"):
		return fmt.Sprintf("is longer than %d characters", engine.MaxFormulaBytes)
	case mismatched && strings.Contains(said, "<EOF>"):
		return "ends too early"
	case mismatched:
		return strings.TrimPrefix(strings.TrimPrefix(said, "mismatched input "), "extraneous input ") +
			" does not fit there"
	}
	return complaint
}

// plainOperator gives an operator as it is written: + for _+_.
func plainOperator(name string) string { return strings.Trim(name, "_@") }

// look gathers what an expression asks about, and its numbers.
func (p *program) look(c checked) {
	ast.PostOrderVisit(c.ast.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.IdentKind:
			if !slices.Contains(p.asks, e.AsIdent()) {
				p.asks = append(p.asks, e.AsIdent())
			}
		case ast.LiteralKind:
			if n, whole := e.AsLiteral().(types.Int); whole && !slices.Contains(p.literals, int64(n)) {
				p.literals = append(p.literals, int64(n))
			}
		}
	}))
}

// places gives where an expression names parameters, from the last one to the first.
func (c checked) places(kind engine.FormulaKind) (at []place) {
	native := c.ast.NativeRep()
	ast.PostOrderVisit(native.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.IdentKind || slices.Contains(known[kind], e.AsIdent()) {
			return
		}
		if from, there := native.SourceInfo().GetOffsetRange(e.ID()); there {
			at = append(at, place{int(from.Start), e.AsIdent()})
		}
	}))
	slices.SortFunc(at, func(a, b place) int { return b.from - a.from })
	return at
}

// place is where a parameter is named, in characters.
type place struct {
	from int
	name string
}

// filledIn gives an expression with values in place of the parameters that it names.
func filledIn(text string, at []place, values map[string]string) string {
	letters := []rune(text)
	for _, p := range at {
		letters = slices.Replace(letters, p.from, p.from+len(p.name), []rune(values[p.name])...)
	}
	return string(letters)
}
