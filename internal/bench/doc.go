// Package bench is a load generator for servers that speak one of memcached's protocols, Redis' RESP, Tokyo
// Tyrant's binary protocol or HTTP, with TLS or without, a comparison of such servers in one run, and the measurement of a pair of
// futago nodes and of fronts of a Redis cluster. Linux only.
//
// A load thread is one locked OS thread with its own epoll instance and non-blocking sockets. It builds
// requests from parts prepared before the run and only scans replies for their ends, so that it takes less
// CPU for each request than the server does; it allocates nothing while it measures. With TLS it takes far more, and crypto/tls
// allocates: a connection is a tls.Conn above the same non-blocking socket.
//
// Closed loop (Rate 0): every connection sends a batch of Pipeline requests, waits for all replies, and sends
// the next batch; latency counts from the batch's write. That gives throughput. Paced (Rate > 0): requests are
// due at even distances, whatever the server does, and latency counts from the time a request was due, so a
// server that stalls is charged for every request that it kept waiting.
//
// It is not a correctness test: it counts error replies and misses and does not look into values.
package bench
