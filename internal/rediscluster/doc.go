// Package rediscluster keeps records in a cluster that speaks Redis' protocol: Redis Cluster, Valkey. It is the store of a front,
// of which there may be any number side by side, and holds nothing itself.
//
// A write is one script on one key (script.lua), so it is atomic, also among fronts, and the clock of the master orders it. What it
// promises is what the cluster does: a write is at one master when it is told of, and a master that dies may take its last ones along.
// Nothing here claims more. A write whose answer was lost is never repeated: store.ErrUnknown. What is known not to have been
// executed is, within Config.Timeout.
//
// flush_all is one number: the time before which records are dead (flush.go). Every front knows it, or serves nothing.
package rediscluster
