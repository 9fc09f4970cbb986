package server

import (
	"context"

	"github.com/futago/futago/internal/cabinet"
	"github.com/futago/futago/internal/store"
)

// Store is the database that a server is the port of: a store.Store, or one that is elsewhere. What is said there of a method holds
// for each. Commit and the reads of one that is elsewhere wait for it, so Config.Goroutines must be set.
type Store interface {
	cabinet.Store
	Now() int64
	Last() uint64
	// Durability says what a positive reply to a write means where that is less than a pair promises; "" where it is not.
	Durability() string
	// The gate: which writes may be told of.
	Level() store.Level
	Passed(seq uint64) (bool, error)
	OnPass(f func()) (cancel func())
	Reached(seq uint64, level store.Level) (store.Level, error)
	Wait(ctx context.Context, seq uint64) error
	WaitAt(ctx context.Context, seq uint64, level store.Level) (store.Level, error)
	Unconfirmed(n int)
	Acknowledgement() store.Acknowledgement
	MaxMemory() int64
	LeastMemory() int64
	SetMaxMemory(n int64) error
}
