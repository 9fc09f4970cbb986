// Package gateway is the HTTP front of a pair: a reverse proxy for reads that spreads requests over weighted
// upstreams, notices within a second which of them can serve, and hides the death of one from the clients.
//
// It admits GET and HEAD only and never sends a body upstream, so nothing that a client puts into a request can
// become a write. It knows nothing of nodes: an upstream is any server that speaks HTTP.
//
// Four parts decide, and know nothing of how bytes are carried: the balancer (which upstream, who is out), the rules
// (which request is let through), forward (what is tried, for how long, and what the client gets) and the access log's line.
// Bytes are carried in two ways. A plainConn serves a client as long as its requests are plain, over connections of its
// own to the upstreams. What is not plain goes to net/http's server with the connection, and upstream over net/http's
// transport. Both ways send the same upstream, and the same to the client.
//
// Invariants:
//   - a request is tried at most once on each upstream, and never again once a byte of a reply went to the client;
//   - a client that goes away never counts against an upstream;
//   - as long as there is an upstream that was not tried, no request is refused for lack of one: when all are out,
//     the one whose last failure is the longest ago is tried;
//   - the path that the rules judged is the decoded form of the very bytes that go upstream;
//   - a connection to an upstream is used again only when the reply ended where it said, and nothing came since.
package gateway
