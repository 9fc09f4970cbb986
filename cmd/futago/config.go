package main

import "github.com/futago/futago/internal/node"

// serveConfig nests the configuration of everything that `futago serve` runs.
type serveConfig struct {
	Node node.Config
	Log  logConfig
	// Store is the cluster that keeps the records; empty: this node does.
	Store string

	// ready is called when clients are served, hangup at SIGHUP, before the node reads its files again; nil does nothing.
	ready, hangup func()
}

func defaultServeConfig() *serveConfig {
	c := &serveConfig{Node: node.DefaultConfig(), Log: defaultLogConfig()}
	c.Node.Version = thisBuild().Version
	return c
}

// serveSettings is the table of every setting of a node, bound to c, in the order in which help and the
// sample configuration show them.
func serveSettings(c *serveConfig) *settings {
	n := &c.Node
	s := &settings{}
	s.withFile()

	s.add("listen", listValue(&n.Listen), "serve clients at `ADDR`[,protocols=memcache+http+tyrant][,tls|tls=optional|tls=mutual]: host:port, [v6]:port, :port (all interfaces) or unix:/path; port 0 takes a free one")
	s.add("allow-open", listValue(&n.AllowOpen), "say that strangers may reach these `ADDRESSES` without users, certificates or a secret: clients, admin, peers, or all; otherwise such a node does not start")
	s.add("allow", listValue(&n.Allow), "let clients use this dangerous `COMMAND`: shutdown, of memcached, or tyrant-copy, tyrant-restore, tyrant-setmst, tyrant-repl; with --users they need the right admin")
	s.add("tyrant-master", textValue(&n.TyrantMaster), "execute the update log of the Tokyo Tyrant server at `HOST:PORT` here; needs --node, other than its -sid")
	s.addRare("tyrant-from", intValue(&n.TyrantFrom), "where that begins if it was not followed before, microseconds since 1970")
	s.add("tyrant-check", boolValue(&n.TyrantCheck), "end that when an operation has another result here than there")
	s.add("mask", textValue(&n.Mask), "refuse these `COMMANDS` in every protocol, by Tokyo Tyrant's names: put,out,... or allwrite, allread, allmanage, allmc, allhttp, allorg")
	s.add("script", textValue(&n.Script), "let clients call the functions in this Lua `FILE`, or in the text behind a @")
	s.add("script-periodic", listValue(&n.ScriptPeriodic), "call a function of the script again and again: `NAME=DURATION`")
	s.add("script-timeout", durationValue(&n.ScriptTimeout), "longest time of a call of a function of the script")
	s.addRare("script-memory", sizeValue(&n.ScriptMemory), "how many bytes a call of the script may make")
	s.addRare("script-unsafe", boolValue(&n.ScriptUnsafe), "let the script use files and processes of this machine")
	s.add("users", textValue(&n.Users), "let only the users in this `FILE` use the node and its admin address; futago users makes it, SIGHUP reads it again")
	s.add("tls-cert", textValue(&n.TLSCert), "show clients the certificate in this PEM `FILE`, at addresses with the option tls, and operators likewise")
	s.add("tls-key", textValue(&n.TLSKey), "the key of that certificate, a PEM `FILE`")
	s.add("tls-client-ca", textValue(&n.TLSClientCA), "accept clients at addresses with tls=mutual whose certificate is signed by an authority in this PEM `FILE`")
	s.add("store", textValue(&c.Store), "keep nothing here but pass everything to the cluster redis-cluster://`HOST:PORT,HOST:PORT`[,tls][,user=NAME,password-file=FILE][,wait=N], whose promises are weaker than a pair's")
	s.add("data", textValue(&n.Data), "keep the log in this `DIR`, or none for memory only")
	s.add("node", intValue(&n.Node), "id of this node, 1 to 1023, different on each node; 0 is none: it becomes 1, and with --peer is refused")
	s.add("peer", listValue(&n.Peer), "follow another node at its peer `ADDR`, its --peer-listen; of a mesh one is enough, all may be named, this node too")
	s.add("peer-listen", textValue(&n.PeerListen), "let peers follow this node at `ADDR`; required with --peer")
	s.add("peer-advertise", textValue(&n.PeerAdvertise), "tell other nodes to follow this one at `ADDR`, where --peer-listen is not what they reach")
	s.add("peer-tls-cert", textValue(&n.PeerTLSCert), "protect the peer link by TLS with the certificate in this PEM `FILE`; needs the next two as well, on both nodes")
	s.add("peer-tls-key", textValue(&n.PeerTLSKey), "the key of that certificate, a PEM `FILE`")
	s.add("peer-tls-ca", textValue(&n.PeerTLSCA), "accept a peer whose certificate is signed by an authority in this PEM `FILE`")
	s.add("peer-tls-name", textValue(&n.PeerTLSName), "`NAME` that the certificate of the peer must be for (default the host of --peer)")
	s.add("peer-secret-file", textValue(&n.PeerSecretFile), "accept a peer that knows the secret in this `FILE`, at least 16 bytes, the same on both nodes")
	s.add("peer-compress", choiceValue(&n.PeerCompress, "none", "zstd"), "pack the log on its way to the peer, where both nodes say so")
	s.add("peer-copy-rate", sizeValue(&n.PeerCopyRate), "how many bytes a second a full copy to the peer may take, 1MiB and more; 0 is no bound")
	s.add("admin-listen", textValue(&n.AdminListen), "serve the dashboard, /healthz /readyz /metrics /status at `ADDR`[,tls|tls=mutual], or none; with --users it asks who is there")
	s.add("admin-tls-ca", textValue(&n.AdminTLSCA), "with TLS there, trust the authorities in this PEM `FILE` for the admin addresses of other nodes instead of the system's")
	s.add("metrics-open", boolValue(&n.MetricsOpen), "serve /metrics there to everybody, also with --users")
	s.add("audit-log", textValue(&n.AuditLog), "append a line for each login and action at the admin address, and each action of clients such as flush_all, to this `FILE` as well; SIGHUP opens it again")
	addProfileSettings(s, &n.Profile)

	s.add("fsync", choiceValue(&n.Fsync, "never", "interval", "always"), "what a positive reply to a write means: written to the system, synced soon, synced")
	s.add("fsync-interval", durationValue(&n.FsyncInterval), "longest time between a write and its sync with --fsync=interval")
	s.add("ack", choiceValue(&n.Ack, "local", "peer", "strict"), "a positive reply means logged here, or also at a peer unless that is gone, or strictly (default peer with --peer, otherwise local)")
	s.add("ack-timeout", durationValue(&n.AckTimeout), "how long a write waits for a silent peer before the node goes solo, or the write fails with --ack=strict")
	s.add("peer-timeout", durationValue(&n.PeerTimeout), "silence after which the peer counts as gone")
	s.add("catchup-timeout", durationValue(&n.CatchupTimeout), "how long a start waits for the peer before it serves what it has")
	s.addRare("verify-interval", durationValue(&n.VerifyInterval), "how often idle nodes compare what they hold")
	s.addRare("drain-timeout", durationValue(&n.DrainTimeout), "how long a stop may take to finish requests and hand the last entries to the peer")

	s.add("max-memory", sizeValue(&n.MaxMemory), "bound of the index and, with --data=none or --evict, of the records; 0 is none")
	s.add("evict", boolValue(&n.Evict), "run as a cache: give up records that were not read for long instead of refusing writes at --max-memory")
	s.add("min-free", sizeValue(&n.MinFree), "refuse writes when the disk has less space than this")
	s.add("max-value", sizeValue(&n.MaxValue), "largest value, for every protocol")
	s.add("max-clock-drift", durationValue(&n.MaxClockDrift), "refuse stamps of a peer that is further ahead of this clock")
	s.add("segment-size", sizeValue(&n.SegmentSize), "size of a log segment")
	s.add("log-retain", sizeValue(&n.LogRetain), "log kept for a peer that is behind; further behind, it gets a snapshot")
	s.add("tombstone-retention", durationValue(&n.TombstoneRetention), "how long deletes are remembered at least")
	s.addRare("compact-rate", sizeValue(&n.CompactRate), "how many bytes of log a second compaction may scan")

	s.add("max-conns", intValue(&n.MaxConns), "client connections at once")
	s.add("first-byte-timeout", durationValue(&n.FirstByteTimeout), "close a connection that has sent nothing for so long after it was opened")
	s.add("idle-timeout", durationValue(&n.IdleTimeout), "close a connection without requests; 0 is never")
	s.add("request-timeout", durationValue(&n.RequestTimeout), "close a connection that leaves a request half sent or a reply unread")
	s.add("max-pending", sizeValue(&n.MaxPending), "unsent output and partial input of one connection, beyond which it is not read")
	s.add("max-pending-total", sizeValue(&n.MaxPendingTotal), "the same over all connections")
	s.add("threads", intValue(&n.Threads), "network loops; 0 is half of the cores, at least one")

	s.add("slow-threshold", durationValue(&n.SlowThreshold), "note requests that take this long or longer, for futago slow and the dashboard; 0 notes none")
	s.addRare("sample-requests", intValue(&n.SampleRequests), "note time and key of one request in so many, for latencies and futago hot; 0 notes none")

	addLogSettings(s, &c.Log)
	return s
}
