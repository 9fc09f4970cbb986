// Package backup copies what a node holds to one file and back, while the node runs. A Source writes the file as a peer would
// follow the node: all records, and beside them the log; Restore unites the records of files in a new data folder by the one
// rule of conflict.
//
// # What is in a backup
//
// A full one has every record that the node held when it began, tombstones and flushes included, and every entry that came into
// the log up to the position in the trailer. So everything that was acknowledged before it began is in it, and the records united
// are what the node held at that position: the scan may meet a record before or after a change, the log brings the change, and
// the merge makes their order irrelevant. An incremental one has the entries of the log between the position of the backup before
// it and its own.
//
// A position is one of a change feed (package feed): it leads on at every node that the one that was read had noted how far it
// holds. So a series goes on at the other node of a pair when its node is lost. Some entries come twice then, none is missing.
//
// Notes of the node's own log and members of the mesh are left out: a restored node is a new one of no mesh yet, which must not
// look for the nodes of the one that it was copied from.
//
// # What is restored
//
// The records of a chain, one full backup and the incremental ones that follow it, pass the merge into an empty store. The log
// that this makes has an identity of its own and the note of a restored one (ulog.NoteRestored): positions of the lost log are
// refused, deletes that this one lacks are taken from its peers, and contributions to counters begin anew. A point in time takes of
// the entries only those whose stamps are not later. A full backup has of every record the newest state alone, so that the point
// must not lie before its end; behind it the log has every state.
package backup
