// Package users knows who may use the client ports: the file of users, their rights, and whether a password is right.
// It knows no protocol and no connection.
//
// # The file
//
// Text, one user a line; empty lines, and lines that begin with #, say nothing:
//
//	name:HASH [rights=read,write,admin] [prefix=PREFIX]... [token=HASH]...
//
// The name has 1 to 128 bytes and no white space, control character or colon. HASH is bcrypt's, as `futago users` and
// `htpasswd -B` write it, or ! for a user without a password. A token takes the place of name and password over HTTP; it is
// made by chance, 256 bits, so that its hash is SHA-256 and costs nothing. Without rights= a user may read and write. Without prefix= it may touch every key, otherwise
// only keys that begin with one of the prefixes. What concerns no key or all of them, such as flush_all, needs admin,
// which includes neither read nor write.
//
// # The cost of a password
//
// A bcrypt hash takes as long as tens of thousands of requests. What was right once is remembered as a MAC under a key of
// this process, and so is some of what was wrong. The rest is computed a few at a time, in turns between the hosts that
// ask, and after a wrong password only when as much time has passed several times: trying passwords neither takes the
// processor from other clients nor keeps other hosts from logging in.
//
// # Guessing
//
// Pairs that were found wrong are counted by host and name, by host, and over all, for a minute from the first one. The same
// wrong pair counts once, however often it comes: a program with an old password locks nobody out. A host that has guessed too
// often gets ErrLimited for that name, or for everything that is not known to be right, until the minute is over; a host that
// has guessed nothing wrong is never refused. What was right is refused too where the name was guessed at, or guessing would
// go on against passwords that are in use.
package users
