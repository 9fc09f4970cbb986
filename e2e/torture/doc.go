//go:build linux

// Torture runs a pair of real nodes with the defaults of a pair (--ack=peer, --fsync=interval) for a while, lets clients
// work on both, and meanwhile kills, stops and freezes the nodes, cuts and slows their link, and slows, fills, empties and
// cuts the power of their disks, at random from a seed. Every operation is recorded. At the end of each round everything
// is healed and the recorded history is compared with what ARCHITECTURE.md promises.
//
// It knows the program from outside only: its ports, its status document and its exit code. Where it runs as root each
// node has a network and a mount namespace of its own, so that a cut link loses packets and a disk can be full; otherwise
// it makes do with a forwarding proxy and a folder, and says in its report what could not be done. Namespaces, devices and
// mounts go away with the process, however it ends.
//
// The checks err on one side: what cannot be known counts in favour of the nodes. See evidence.go for what is known.
package main
