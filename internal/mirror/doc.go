// Package mirror is the replication with Tokyo Tyrant: a Follower executes the update log of a running server here, and a
// Source serves this node's log as one, to servers that follow it. What came from a server does not go back to one, so a
// server and a node may follow each other. Source of the protocol: probes of Tokyo Tyrant 1.1.41; package tyrant has its forms.
//
// It promises no more than the original: a key that both change at once may differ for ever, for a server there knows of
// nothing but its own order. On the node's own side everything converges as ever.
package mirror
