// Package proxy is a local memcached port in front of several nodes, for clients that know no failover.
//
// Many client connections share a few connections to each upstream. A client's goroutine reads what has come, decodes every
// complete request, hands all of them to upstreams, waits until each has its reply or has failed, and writes the replies at
// once: a round. So a client has one round on its way at most; one that does not read its replies holds up nobody else.
//
// Requests of all clients are appended to the output of a shared connection (link), written together, and answered in order.
// What goes to an upstream is never the client's bytes as they came: it is written anew from what was decoded, always
// asks for a reply, and is checked so far that the upstream sees the same frame boundaries as the proxy. A value is never
// taken for a command, and one client's mistake never costs another one his connection.
//
// Invariants:
//   - Every request of a round ends: with a reply, or when its link ends, which the watch makes it do in time.
//   - A request that may have been executed is repeated only if that does no harm (call.safe); else its effect is unknown,
//     and the client is told so.
//   - Requests of a client for one key reach one upstream in the order in which they came. Within a round the upstreams that
//     count as up do not change, and an upstream has one link.
package proxy
