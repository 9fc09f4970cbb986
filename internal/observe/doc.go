// Package observe keeps what a node notes of the requests that it executes: how long they took, which of them were slow, which keys
// are asked for often and which values are large; and the past in figures. It knows nothing of protocols and of the store. Everything in it has a bounded size,
// allocates nothing for a request once it is warm, and may be used by any goroutine.
package observe
