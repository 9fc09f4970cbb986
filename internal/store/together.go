package store

// Read is one of several reads that a store elsewhere does at once.
type Read struct {
	Key []byte
	// View is filled as Peek does it, Found is what it returns.
	View  View
	Found bool
}

// Write is one of several writes that a store elsewhere does at once.
type Write struct {
	Request *Request
	Result  *Result
	Err     error // what Commit returns
}
