// Package tyrant is the codec of Tokyo Tyrant's binary protocol, both directions: bytes in, requests out, and the replies
// as bytes.
//
// It knows no store, and its codec no socket. A carrier (whatever reads a connection) hands all bytes that it holds to
// [Decoder.Decode], acts on the [Request], drops the consumed bytes, and sends what the Append functions give it. Nothing
// there allocates per request, except for a list that is longer than all before it.
//
// [Client] is the other end. [LogReader] and [LogWriter] are for the files of an update log, whose entries are requests too.
//
// The reference is Tokyo Tyrant 1.1.41 on x86-64, byte for byte. Where it is unsafe, the comment at that place says what is done
// instead. All integers are big-endian.
package tyrant
