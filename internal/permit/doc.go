// Package permit decides which commands of memcached's protocols a user may run, and how a client logs in there. Nodes and the proxy
// ask it, so that a user may do the same at both. It executes nothing and has no connections; who the users are, and whether a
// password is right, is package users'.
package permit
