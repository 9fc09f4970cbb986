// Package server is the client port: it accepts connections, tells the protocol from the first byte, and runs the
// sessions. A session is a state machine, bytes in and replies out, that knows no sockets; two carriers move its bytes:
// epoll loops for plain sockets on Linux, and one goroutine per connection elsewhere. HTTP is served by net/http.
//
// Invariants:
//   - The first byte of a connection decides its protocol for as long as it lives. What follows a refused request is
//     never read in another protocol.
//   - A reply to a write, and every later reply on that connection, leaves after the store's gate has decided on the write.
//     Where that failed (ack=strict) an error leaves in the place of its reply, and of no other. A quiet write of the binary
//     protocol has its place too.
//   - Memory for input and output of a connection is bounded by MaxPending and one value, over all by MaxPendingTotal.
//   - The memcached path of a loop allocates nothing per request.
package server
