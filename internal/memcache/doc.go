// Package memcache is the wire codec of the memcached protocol: bytes in, requests out, and the replies as bytes.
//
// It knows neither a store nor a socket. A carrier (whatever reads a connection) hands all bytes that it holds to
// [Decoder.Decode], acts on the [Request], drops the consumed bytes, and sends what the Append functions and the
// Reply constants give it. [BinaryDecoder] and [BinaryRequest] do the same for the binary protocol, which shares nothing
// with the text but the meaning of an exptime. Nothing here allocates per request.
//
// The reference is memcached 1.6.18, byte for byte. Where later versions differ or where 1.6.18 is unsafe, the
// comment at that place says so; the transcripts under internal/server/testdata/transcript show both answers.
package memcache
