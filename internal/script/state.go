package script

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// The stacks of a state. Each coroutine has its own.
const (
	callDepth     = 200     // nested calls of the main thread
	registryStart = 256     // values; a coroutine begins with as many
	registryStep  = 1 << 13 // values; growing copies all, so not in small steps
	registryMax   = 1 << 16 // values of the main thread, which also bounds unpack and string.byte

	coroutineDepth = 100     // nested calls
	coroutineMax   = 1 << 12 // values
	resumeDepth    = 50      // coroutines that resume each other; each takes Go stack for all its nested calls
)

// state is one Lua state. One goroutine at a time uses it.
type state struct {
	h  *Host
	g  *generation
	L  *lua.LState
	id int // from 1

	own  map[string]lua.LValue // what global names meant before the script ran
	rand *rand.Rand
	// meters are the functions that compiled chunks get: concat, store, made.
	meters [3]*lua.LFunction
	guard  *lua.LFunction
	// evaluated is the number of the generation's evals that ran here.
	evaluated int
	// private says that what runs now runs in every state anyway: _eval in it is not shared.
	private bool
	// broken says that the state must not be used again.
	broken bool

	// What follows belongs to the running call.
	ctx      context.Context
	end      context.CancelCauseFunc
	limit    error // the limit that ended the call
	made     int   // bytes
	resumed  int   // coroutines that wait for one that they resumed
	troubled bool  // the database's trouble was logged
	taken    map[string]chan struct{}
}

// newState makes a state and runs the script in it.
func newState(ctx context.Context, h *Host, g *generation, id int) (*state, error) {
	s := &state{h: h, g: g, id: id, rand: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))}
	s.L = lua.NewState(lua.Options{
		CallStackSize: callDepth,
		RegistrySize:  registryStart, RegistryMaxSize: registryMax, RegistryGrowStep: registryStep,
		SkipOpenLibs: true,
	})
	// Every coroutine gets a copy.
	s.L.Options.CallStackSize, s.L.Options.RegistryMaxSize = coroutineDepth, coroutineMax
	s.open()
	err := s.run(ctx, h.config.PeriodicTimeout, func() error {
		chunk, err := s.load(g.proto)
		if err != nil {
			return err
		}
		s.private = true
		defer func() { s.private = false }()
		if err := s.protect(s.L, chunk, 0); err != nil {
			return err
		}
		s.catchUp()
		return nil
	})
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *state) close() { s.L.Close() }

// run makes ctx and timeout the limits of what f does in the state, and tells why it ended.
func (s *state) run(ctx context.Context, timeout time.Duration, f func() error) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, ErrTimeout)
	defer cancel()
	s.ctx, s.end = context.WithCancelCause(ctx)
	defer s.end(nil)
	s.L.SetContext(s.ctx)
	s.limit, s.made, s.resumed, s.troubled, s.taken = nil, 0, 0, false, nil
	defer func() {
		if r := recover(); r != nil {
			s.h.log.Error("script host panicked", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			err = ErrPanic
			s.broken = true
		}
		s.L.RemoveContext()
		if err != nil {
			s.h.names.release(s.taken)
		}
	}()
	err = f()
	if s.limit != nil {
		err = s.limit
	} else if err != nil && s.ctx.Err() != nil {
		err = context.Cause(s.ctx)
	}
	var raised *lua.ApiError
	switch {
	case errors.As(err, &raised):
		// A panic in the Lua library itself: it may have left anything behind.
		s.broken = s.broken || raised.Type == lua.ApiErrorPanic
		err = &Error{Message: message(raised)}
	case err != nil:
		s.broken = true
	}
	return err
}

// message is what an error says. Values that are no text are named by their type: to ask them would run the script.
func message(e *lua.ApiError) string {
	switch v := e.Object.(type) {
	case lua.LString:
		return string(v)
	case lua.LNumber:
		return formatNumber(float64(v))
	case nil:
		if e.Cause != nil {
			return e.Cause.Error()
		}
		return "unknown"
	default:
		if v == lua.LNil && e.Cause != nil {
			return e.Cause.Error()
		}
		return "a " + v.Type().String() + " was raised"
	}
}

// charge counts n bytes that L is about to make, and ends the call if they are too many.
func (s *state) charge(L *lua.LState, n int) {
	if n < 0 || n > s.h.config.MaxMemory-s.made {
		s.stop(L, ErrMemory)
	}
	s.made += n
}

// stop ends the call for good: what the script catches fails again at the next instruction.
func (s *state) stop(L *lua.LState, limit error) {
	if s.limit == nil {
		s.limit = limit
	}
	s.end(limit)
	L.RaiseError("%v", limit)
}

// check raises an error if the call has to end. Functions that may take long call it from time to time.
func (s *state) check(L *lua.LState) {
	if s.ctx.Err() != nil {
		L.RaiseError("%v", context.Cause(s.ctx))
	}
}

// protect calls a function for n results, which it leaves on the stack of L, or returns the error that it raised.
func (s *state) protect(L *lua.LState, f lua.LValue, n int, args ...lua.LValue) error {
	L.Push(s.guard)
	L.Push(f)
	for _, arg := range args {
		L.Push(arg)
	}
	return L.PCall(1+len(args), n, nil)
}

// guarded calls its first argument with the others.
func guarded(c call) int {
	c.L.Call(c.L.GetTop()-1, lua.MultRet)
	return c.L.GetTop()
}

// noTrace stands where the Lua library would make a trace of an error. That has a line for each tail call, of which a
// function may have made millions.
const noTrace = "no trace"

// wrap makes a function of Lua from a builtin. A panic in it costs the state, and is told with its stack.
func (s *state) wrap(name string, f builtin) lua.LGFunction {
	return func(L *lua.LState) int {
		defer func() {
			r := recover()
			if r == nil {
				return
			}
			if e, ok := r.(*lua.ApiError); ok {
				e.StackTrace = noTrace
			} else {
				s.h.log.Error("script function panicked", "function", name, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
				s.broken = true
				s.limit = ErrPanic
				s.end(ErrPanic)
			}
			panic(r)
		}()
		return f(call{s, L, name})
	}
}

// set makes builtins fields of a table.
func (s *state) set(t *lua.LTable, prefix string, functions map[string]builtin) {
	for name, f := range functions {
		t.RawSetString(name, s.L.NewFunction(s.wrap(prefix+name, f)))
	}
}

// function returns the global function of a name that clients may call: one that the script defined.
func (s *state) function(name string) *lua.LFunction {
	if name == "" || name[0] == '_' {
		return nil
	}
	f, ok := s.L.G.Global.RawGetString(name).(*lua.LFunction)
	if !ok || s.own[name] == f {
		return nil
	}
	return f
}

// hook calls a global function without arguments if there is one.
func (s *state) hook(ctx context.Context, name string) error {
	f, ok := s.L.G.Global.RawGetString(name).(*lua.LFunction)
	if !ok {
		return nil
	}
	return s.run(ctx, s.h.config.PeriodicTimeout, func() error {
		return s.protect(s.L, f, 0)
	})
}

// call calls the function that find returns with a key and a value. What find refuses says nothing against the state.
func (s *state) call(ctx context.Context, timeout time.Duration, find func() (*lua.LFunction, error), key, value []byte) (reply []byte, ok bool, err error) {
	var refused error
	err = s.run(ctx, timeout, func() error {
		if s.catchUp(); s.ctx.Err() != nil {
			return context.Cause(s.ctx)
		}
		f, err := find()
		if err != nil {
			refused = err
			return nil
		}
		v, err := call{state: s, L: s.L}.invoke(f, lua.LString(key), lua.LString(value))
		if err != nil {
			return err
		}
		reply, ok = result(v)
		if len(reply) > s.h.config.MaxResult {
			refused = ErrResult
		}
		return nil
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return nil, false, err
	}
	return reply, ok, nil
}

// seed makes the random numbers of this state repeatable.
func (s *state) seed(n uint64) { s.rand = rand.New(rand.NewPCG(n, n)) }
