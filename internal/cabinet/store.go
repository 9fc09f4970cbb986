package cabinet

import "github.com/futago/futago/internal/store"

// Store is the database as its clients use it: a store.Store, or one that is elsewhere. What is said there of a method holds for each.
type Store interface {
	// Acquire and Peek fill the view, which is to be released, with a live record. After false View.Fault says whether it is known
	// that there is none.
	Acquire(key []byte, v *store.View) bool
	Peek(key []byte, v *store.View) bool
	Commit(req *store.Request, res *store.Result) error
	FlushAll(at uint64) (seq uint64, err error)
	FlushRelayed() (seq uint64, err error)
	SweepFlush()
	Flush()
	Sync() error
	CompactOnce() bool
	// List may fail where the records are elsewhere: then the walk is not whole, and can go on later.
	List(c *store.Cursor, show func(r *store.Listed) bool) (more bool, err error)
	CursorAt(key []byte) store.Cursor
	CursorText(c store.Cursor) string
	ParseCursor(text string) (store.Cursor, error)
	MaxValue() int64
	Stats() store.Stats
}
