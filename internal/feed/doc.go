// Package feed tells what changed: the log of a node as a stream of changes for programs, over HTTP, from a position that
// is good on every node of the mesh. It only reads.
//
// A client that has read a feed holds, of every key that changed since it began, what the node holds; the last change of a
// key counts. What a key was in between may be left out when the client moves to another node, and some changes come again.
//
// # What is shown
//
// Entries up to where writes may be acknowledged (store.Acknowledged): written, with --fsync=always durable, and with
// --ack=peer at a peer unless this node is solo. So a change that was shown is as safe as a write that was acknowledged, and
// the crash of one node alone does not undo it where it would not undo that.
//
// # Positions
//
// A Position is a place in the log of the node that the client read, and for each other member a place in that one's log
// which the former covers: whoever has read the first log up to here lacks nothing of the second up to there. These claims
// are not made up here. They are the notes by which replication itself goes on after a restart (store.Followed): a node
// writes into its own log, behind what it has applied, how far it holds the log of a peer. The feed meets them on its way,
// in the order of the log, so a claim is exactly as old as what the client has seen, through snapshots, mends, restarts and
// counters of several authors: the argument is replication's own. Two exceptions:
//
//   - During a snapshot a note covers nothing (Part), and the claim before it stays: what a node holds only grows.
//   - A node that lost writes of its own lacks what its peer, which does not send them in the stream, still has. While that
//     gap is open, which notes in the log say as well, the claim is kept but not used.
//
// On the same node the position leads to exactly what follows. On another node the client goes on in that one's log at the
// claim, and so gets some changes again, those of the last second mostly. There the claims about the others begin anew, from
// the notes in front of that place or the first ones behind it: let c be what the client has and X(p) what node X holds at
// place p of its log. A claim p is made only where X(p) is contained in what the log being read holds at the position, and
// reading on replaces what the client has of a key only by what that log has later. So X(p) stays contained in c, what X's
// log has behind p brings c to X's state, and the last change of a key is the right one, however often the client moves.
// Claims of the node that was left must not be kept: a change that came again may be older than what they cover.
//
// A position that leads nowhere is ErrGone: the log was compacted, or it is of a life that lost its end in front of it (what
// the client has seen may not be in the log any more), or no claim speaks of this node. Another node may know the position.
// Where none does, the client lists the keys anew, of the node whose position it took before.
package feed
