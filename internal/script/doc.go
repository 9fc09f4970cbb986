// Package script is the host of Tokyo Tyrant's script extension: clients call functions of a Lua script that the
// operator gave, and the script works on the database. It knows no store, no protocol and no sockets: the database is
// an interface, and whoever has the request calls Host.Call.
//
// # Model
//
// The script runs once in each of a few Lua states, and once more for each periodic function. A call takes any idle
// state, so globals are those of one state; what must be common belongs to the database or to the stash. `_begin` and
// `_end` run once in the first state. A client may call the global functions that the script defined and whose names do
// not begin with `_`; unlike in the original it cannot call functions of the library.
//
// # Limits
//
// A call has a deadline. Lua ends at the next instruction after it, and every function here that may take long looks at
// it too: pattern matching, sorting, waiting for locks, sleeping.
//
// A call may make MaxMemory bytes, garbage included. The Lua library has no limit of its own, so scripts are metered:
// before a chunk is compiled, its concatenations, table constructors, stores into tables and function expressions are
// turned into calls of Go functions that count (meter.go), and library functions that make strings or tables are
// replaced by counting ones. What is counted is an estimate; the truth is within a small factor of it.
//
// A state whose call met a limit or a panic is thrown away, and with it what that state remembered.
//
// Invariants:
//   - no Lua value is used by two goroutines: a state belongs to one call at a time;
//   - locks are taken before a state, so nobody who waits for a lock keeps others from a state;
//   - nothing waits longer than the deadline of its call.
package script
