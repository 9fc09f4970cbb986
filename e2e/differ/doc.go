//go:build linux

// Differ sends the same random requests to memcached 1.6.18 and to one node of futago without a data folder, and compares
// the replies. What differs and is not named in docs/compat.md is a mistake, and is printed as a section of a transcript
// (see internal/server/transcript) after all requests are left out that are not needed for it.
//
// A stream is some tens of requests on up to three text connections and a binary one, on few keys so that they meet. Each
// stream begins with an empty store. Uniques are compared by what they say: two are the same on one server exactly if they
// are on the other. Times to live may be a second apart, and a difference counts only if it comes again each time that
// the stream is played, so that a second that ends in between is none. known.go holds what differs on purpose.
//
// Some streams store what ends soon, or schedule a flush, then wait until all of that has come on both servers, and go on.
// In the window in between the two need not agree, as memcached's clock moves once a second: the first half is over before.
// Several pairs of servers play streams at the same time, as most of the time is spent waiting.
//
// A test also plays streams with a front of a cluster for futago; each front has keys of its own there.
//
// It knows the program from outside only.
package main
