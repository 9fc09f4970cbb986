// Package front is what the two fronts of a pair, the HTTP gateway and the memcached proxy, have in common for those who
// run them: the text form of an upstream, the rules of settings, the metrics' registry and the operators' pages. It knows
// nothing of clients and of requests.
package front
