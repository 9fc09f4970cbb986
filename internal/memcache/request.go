package memcache

// Op is the command of a request.
type Op uint8

// The classic text commands. The zero Op is none of them.
const (
	OpGet Op = iota + 1
	OpGets
	OpGat
	OpGats
	OpSet
	OpAdd
	OpReplace
	OpAppend
	OpPrepend
	OpCAS
	OpDelete
	OpIncr
	OpDecr
	OpTouch
	OpFlushAll
	OpVersion
	OpVerbosity
	OpStats
	OpQuit
	OpRefreshCerts
	OpMemLimit
	OpShutdown
	OpDump
	// OpTune changes something that is not there to change. Reply is the answer, empty with noreply.
	OpTune
	// The meta commands.
	OpMetaGet
	OpMetaSet
	OpMetaDelete
	OpMetaArith
	OpMetaDebug
	OpMetaNoop
	// OpError is a line that is no valid command. Reply, Close and Drop say what to do; nothing else is to be done.
	OpError
)

var opNames = [...]string{
	OpGet: "get", OpGets: "gets", OpGat: "gat", OpGats: "gats", OpSet: "set", OpAdd: "add", OpReplace: "replace",
	OpAppend: "append", OpPrepend: "prepend", OpCAS: "cas", OpDelete: "delete", OpIncr: "incr", OpDecr: "decr",
	OpTouch: "touch", OpFlushAll: "flush_all", OpVersion: "version", OpVerbosity: "verbosity", OpStats: "stats",
	OpQuit: "quit", OpMetaGet: "mg", OpMetaSet: "ms", OpMetaDelete: "md", OpMetaArith: "ma", OpMetaDebug: "me",
	OpMetaNoop: "mn", OpRefreshCerts: "refresh_certs", OpMemLimit: "cache_memlimit", OpShutdown: "shutdown", OpDump: "dump",
	OpTune: "tune", OpError: "error",
}

// IsMeta reports the commands mg ms md ma me mn.
func (o Op) IsMeta() bool { return o >= OpMetaGet && o <= OpMetaNoop }

// String returns the command as it stands on the wire, and "error" or "none" for what is no command.
func (o Op) String() string {
	if int(o) < len(opNames) && opNames[o] != "" {
		return opNames[o]
	}
	return "none"
}

// Request is one decoded command. It is reused from call to call: Decode overwrites all of it. Key, Keys, Value
// and Arg alias the bytes given to Decode and are valid until the caller drops or changes those bytes. Fields that
// the command does not have are zero.
type Request struct {
	Op Op
	// Key is 1..MaxKey bytes: storage commands, delete, incr, decr, touch, meta commands, and OpError with Drop. That of a
	// meta command with the flag b is decoded, and may be any bytes.
	Key []byte
	// Keys are the keys of get, gets, gat and gats. All of them passed the key check before the request came out.
	Keys KeyList
	// Value is the data block without its CRLF. Empty is a valid value.
	Value []byte
	// Flags are the client's flags. A larger number was cut to 32 bits, as memcached does.
	Flags uint32
	// Exptime is the number as sent, cut to 32 bits with sign as memcached does, so 2147483648 is negative here.
	// It belongs to storage commands, touch, gat, gats, and flush_all (where it is the delay).
	// ExptimeToUnixMilli gives it a meaning.
	Exptime int64
	// CAS is the unique of the cas command.
	CAS uint64
	// Delta is the amount of incr and decr, and the megabytes of cache_memlimit.
	Delta uint64
	// Meta is what a meta command has besides, nil for the others. It belongs to the decoder: the next Decode changes it.
	Meta *Meta
	// Arg is what follows "stats" or "shutdown" on the line, without spaces around it.
	Arg []byte
	// Dump is how lru_crawler is to list the keys.
	Dump DumpFormat
	// Noreply forbids any reply to this command, an error included.
	Noreply bool
	// Reply is the complete line of OpTune, and the error line of OpError with its CRLF, empty when noreply or a silent close suppresses it.
	Reply string
	// Close asks for the end of the connection after Reply and all earlier replies are sent.
	Close bool
	// Drop asks for the deletion of Key: a set whose value is too large must not leave the old value readable.
	Drop bool
}

// KeyList walks over the keys of a get command without allocating. A copy of it walks on its own, so a caller
// that needs the keys twice copies it first.
type KeyList struct {
	rest []byte
}

// Next returns the next key, in request order and with repetitions, and false after the last one.
func (l *KeyList) Next() (key []byte, ok bool) {
	key, l.rest = nextToken(l.rest)
	return key, len(key) > 0
}
