package script

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
	"github.com/yuin/gopher-lua/parse"
)

// What things are taken to cost, in bytes.
const (
	tableCost   = 512      // an empty table that gets an element
	slotCost    = 64       // an element of an array, with its growth ahead
	entryCost   = 256      // a pair of key and value, with the order that next needs
	closureCost = 160      // a function with a few upvalues
	threadCost  = 32 << 10 // a coroutine with its stacks
	sourceCost  = 64       // a byte of source, compiled
)

// The names of the meters in a chunk. No script can spell them, so none can see or replace them.
const (
	concatMeter = "\x00concat"
	storeMeter  = "\x00store"
	madeMeter   = "\x00made"
)

// maxNesting bounds the depth of what is compiled, which is done by recursion.
const maxNesting = 1000

// compile turns source into a chunk that takes the meters as arguments and returns the function that the source is:
//
//	local concat, store, made = ...
//	return function(...) SOURCE end
//
// with these changes in SOURCE:
//
//	a .. b .. c       concat(a, b, c)
//	{...}             made({...}, n), n constant keys; other keys and their values as further arguments
//	function() end    made(function() end)
//	t[k] = v          store(t, k, v)
func compile(source, name string) (proto *lua.FunctionProto, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &Error{Message: fmt.Sprintf("%s: %v", name, r)}
		}
	}()
	if strings.HasPrefix(source, "\x1b") {
		return nil, &Error{Message: name + ": compiled chunks are refused, give the source"}
	}
	stmts, err := parse.Parse(strings.NewReader(source), name)
	if err != nil {
		return nil, &Error{Message: strings.Join(strings.Fields(err.Error()), " ")}
	}
	m := meter{}
	body := &ast.FunctionExpr{ParList: &ast.ParList{HasVargs: true, Names: []string{}}, Stmts: m.block(stmts)}
	if n := len(stmts); n > 0 {
		body.SetLine(stmts[0].Line())
		body.SetLastLine(stmts[n-1].LastLine())
	}
	proto, err = lua.Compile([]ast.Stmt{
		&ast.LocalAssignStmt{Names: []string{concatMeter, storeMeter, madeMeter}, Exprs: []ast.Expr{&ast.Comma3Expr{}}},
		&ast.ReturnStmt{Exprs: []ast.Expr{body}},
	}, name)
	if err != nil {
		return nil, &Error{Message: strings.Join(strings.Fields(err.Error()), " ")}
	}
	return proto, nil
}

// load makes a function of a compiled chunk. Its environment is that of the state.
func (s *state) load(proto *lua.FunctionProto) (*lua.LFunction, error) {
	chunk := s.L.NewFunctionFromProto(proto)
	chunk.Env = s.L.G.Global
	if err := s.protect(s.L, chunk, 1, s.meters[0], s.meters[1], s.meters[2]); err != nil {
		return nil, err
	}
	f, ok := s.L.Get(-1).(*lua.LFunction)
	s.L.Pop(1)
	if !ok {
		return nil, errors.New("compiled chunk is no function")
	}
	return f, nil
}

// meter rewrites a syntax tree in place.
type meter struct {
	depth int
}

// deeper is called on the way down; the function that it returns on the way up.
func (m *meter) deeper(at ast.PositionHolder) func() {
	if m.depth++; m.depth > maxNesting {
		panic(fmt.Sprintf("line %d: nested more than %d deep", at.Line(), maxNesting))
	}
	return func() { m.depth-- }
}

func (m *meter) block(stmts []ast.Stmt) []ast.Stmt {
	out := make([]ast.Stmt, 0, len(stmts))
	for _, stmt := range stmts {
		out = append(out, m.stmt(stmt)...)
	}
	return out
}

func (m *meter) stmt(stmt ast.Stmt) []ast.Stmt {
	defer m.deeper(stmt)()
	switch s := stmt.(type) {
	case *ast.AssignStmt:
		return m.assign(s)
	case *ast.LocalAssignStmt:
		// A function in a statement of its own sees its name: it must stay a function.
		if f, ok := onlyFunction(s); ok {
			m.function(f)
			return []ast.Stmt{s, madeNothing(s)}
		}
		m.exprs(s.Exprs)
	case *ast.FuncCallStmt:
		m.callParts(s.Expr.(*ast.FuncCallExpr))
	case *ast.DoBlockStmt:
		s.Stmts = m.block(s.Stmts)
	case *ast.WhileStmt:
		s.Condition = m.expr(s.Condition)
		s.Stmts = m.block(s.Stmts)
	case *ast.RepeatStmt:
		s.Condition = m.expr(s.Condition)
		s.Stmts = m.block(s.Stmts)
	case *ast.IfStmt:
		s.Condition = m.expr(s.Condition)
		s.Then = m.block(s.Then)
		s.Else = m.block(s.Else)
	case *ast.NumberForStmt:
		s.Init, s.Limit, s.Step = m.expr(s.Init), m.expr(s.Limit), m.expr(s.Step)
		s.Stmts = m.block(s.Stmts)
	case *ast.GenericForStmt:
		m.exprs(s.Exprs)
		s.Stmts = m.block(s.Stmts)
	case *ast.FuncDefStmt:
		s.Name.Func, s.Name.Receiver = m.expr(s.Name.Func), m.expr(s.Name.Receiver)
		m.function(s.Func)
		return []ast.Stmt{s, madeNothing(s)}
	case *ast.ReturnStmt:
		m.exprs(s.Exprs)
	case *ast.BreakStmt, *ast.LabelStmt, *ast.GotoStmt:
	default:
		panic(fmt.Sprintf("unknown statement %T", stmt))
	}
	return []ast.Stmt{stmt}
}

func onlyFunction(s *ast.LocalAssignStmt) (*ast.FunctionExpr, bool) {
	if len(s.Names) != 1 || len(s.Exprs) != 1 {
		return nil, false
	}
	f, ok := s.Exprs[0].(*ast.FunctionExpr)
	return f, ok
}

// assign turns stores into tables into calls. With several targets, everything is evaluated before anything is stored,
// as in Lua.
func (m *meter) assign(s *ast.AssignStmt) []ast.Stmt {
	targets, stores := s.Lhs, false
	for _, lhs := range targets {
		if t, ok := lhs.(*ast.AttrGetExpr); ok {
			t.Object, t.Key = m.expr(t.Object), m.expr(t.Key)
			stores = true
		}
	}
	m.exprs(s.Rhs)
	if !stores {
		return []ast.Stmt{s}
	}
	if len(targets) == 1 && len(s.Rhs) == 1 {
		t := targets[0].(*ast.AttrGetExpr)
		return []ast.Stmt{storeStmt(s, t.Object, t.Key, s.Rhs[0])}
	}
	var names []string
	var parts []ast.Expr
	keep := func(e ast.Expr) ast.Expr {
		names = append(names, "\x00"+strconv.Itoa(len(names)))
		parts = append(parts, single(e))
		return ident(e, names[len(names)-1])
	}
	for _, lhs := range targets {
		if t, ok := lhs.(*ast.AttrGetExpr); ok {
			t.Object, t.Key = keep(t.Object), keep(t.Key)
		}
	}
	values := make([]string, len(targets))
	for i := range values {
		values[i] = "\x00v" + strconv.Itoa(i)
	}
	block := []ast.Stmt{
		placed(s, &ast.LocalAssignStmt{Names: names, Exprs: parts}),
		placed(s, &ast.LocalAssignStmt{Names: values, Exprs: s.Rhs}),
	}
	for i, lhs := range targets {
		value := ident(lhs, values[i])
		if t, ok := lhs.(*ast.AttrGetExpr); ok {
			block = append(block, storeStmt(s, t.Object, t.Key, value))
		} else {
			block = append(block, placed(s, &ast.AssignStmt{Lhs: []ast.Expr{lhs}, Rhs: []ast.Expr{value}}))
		}
	}
	return []ast.Stmt{placed(s, &ast.DoBlockStmt{Stmts: block})}
}

func (m *meter) exprs(list []ast.Expr) {
	for i := range list {
		list[i] = m.expr(list[i])
	}
}

// expr returns what stands in the place of e, which may be nil.
func (m *meter) expr(e ast.Expr) ast.Expr {
	if e == nil {
		return nil
	}
	defer m.deeper(e)()
	switch x := e.(type) {
	case *ast.AttrGetExpr:
		x.Object, x.Key = m.expr(x.Object), m.expr(x.Key)
	case *ast.TableExpr:
		return m.constructor(x)
	case *ast.FuncCallExpr:
		m.callParts(x)
	case *ast.LogicalOpExpr:
		x.Lhs, x.Rhs = m.expr(x.Lhs), m.expr(x.Rhs)
	case *ast.RelationalOpExpr:
		x.Lhs, x.Rhs = m.expr(x.Lhs), m.expr(x.Rhs)
	case *ast.ArithmeticOpExpr:
		x.Lhs, x.Rhs = m.expr(x.Lhs), m.expr(x.Rhs)
	case *ast.UnaryMinusOpExpr:
		x.Expr = m.expr(x.Expr)
	case *ast.UnaryNotOpExpr:
		x.Expr = m.expr(x.Expr)
	case *ast.UnaryLenOpExpr:
		x.Expr = m.expr(x.Expr)
	case *ast.StringConcatOpExpr:
		return m.concat(x)
	case *ast.FunctionExpr:
		m.function(x)
		return meterCall(x, madeMeter, x)
	case *ast.TrueExpr, *ast.FalseExpr, *ast.NilExpr, *ast.NumberExpr, *ast.StringExpr, *ast.Comma3Expr, *ast.IdentExpr:
	default:
		panic(fmt.Sprintf("unknown expression %T", e))
	}
	return e
}

func (m *meter) callParts(x *ast.FuncCallExpr) {
	x.Func, x.Receiver = m.expr(x.Func), m.expr(x.Receiver)
	m.exprs(x.Args)
}

func (m *meter) function(f *ast.FunctionExpr) {
	f.Stmts = m.block(f.Stmts)
}

// maxOperands is how many values one concatenation takes: each needs a register.
const maxOperands = 50

// concat gives a whole chain to one call, so that it is joined once. A chain too long for the registers is joined in
// parts.
func (m *meter) concat(x *ast.StringConcatOpExpr) ast.Expr {
	var operands []ast.Expr
	var rest ast.Expr = x
	for {
		next, ok := rest.(*ast.StringConcatOpExpr)
		if !ok {
			break
		}
		operands = append(operands, m.expr(next.Lhs))
		rest = next.Rhs
	}
	operands = append(operands, m.expr(rest))
	for len(operands) > maxOperands {
		var joined []ast.Expr
		for part := range slices.Chunk(operands, maxOperands) {
			joined = append(joined, meterCall(x, concatMeter, part...))
		}
		operands = joined
	}
	return meterCall(x, concatMeter, operands...)
}

// constructor takes the keys that are no constant strings out of a table: one of them alone may make an array of any
// size. The others are only counted.
func (m *meter) constructor(x *ast.TableExpr) ast.Expr {
	var fields []*ast.Field
	var pairs []ast.Expr
	names := 0
	for i, f := range x.Fields {
		f.Key, f.Value = m.expr(f.Key), m.expr(f.Value)
		_, constant := f.Key.(*ast.StringExpr)
		switch {
		case f.Key != nil && !constant:
			pairs = append(pairs, f.Key, single(f.Value))
			continue
		case constant:
			names++
		case i < len(x.Fields)-1:
			single(f.Value)
		}
		fields = append(fields, f)
	}
	x.Fields = fields
	table := meterCall(x, madeMeter, x, placed(x, &ast.NumberExpr{Value: strconv.Itoa(names)}))
	for len(pairs) > 0 {
		n := min(len(pairs), maxOperands)
		table = meterCall(x, madeMeter, append([]ast.Expr{table, placed(x, &ast.NumberExpr{Value: "0"})}, pairs[:n]...)...)
		pairs = pairs[n:]
	}
	return table
}

// single cuts what may be several values to the first.
func single(e ast.Expr) ast.Expr {
	switch x := e.(type) {
	case *ast.FuncCallExpr:
		x.AdjustRet = true
	case *ast.Comma3Expr:
		x.AdjustRet = true
	}
	return e
}

func meterCall(at ast.PositionHolder, name string, args ...ast.Expr) *ast.FuncCallExpr {
	for _, arg := range args {
		single(arg)
	}
	return placed(at, &ast.FuncCallExpr{Func: ident(at, name), Args: args, AdjustRet: true})
}

func storeStmt(at ast.PositionHolder, object, key, value ast.Expr) ast.Stmt {
	return placed(at, &ast.FuncCallStmt{Expr: meterCall(at, storeMeter, object, key, value)})
}

// madeNothing counts a function that a statement made.
func madeNothing(at ast.PositionHolder) ast.Stmt {
	return placed(at, &ast.FuncCallStmt{Expr: meterCall(at, madeMeter)})
}

func ident(at ast.PositionHolder, name string) *ast.IdentExpr {
	return placed(at, &ast.IdentExpr{Value: name})
}

// placed gives a node the lines of the one that it comes from, so that errors name them.
func placed[N ast.PositionHolder](at ast.PositionHolder, node N) N {
	node.SetLine(at.Line())
	node.SetLastLine(max(at.Line(), at.LastLine()))
	return node
}
