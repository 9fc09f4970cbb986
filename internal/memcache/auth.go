package memcache

import "bytes"

// maxAuthData is the largest data block that may hold user and password, in bytes.
// Source: memcached 1.6.45, proto_text.c, try_read_command_asciiauth.
const maxAuthData = 16384

// minAuthLine is the shortest line, counted up to its \n, that does not end a connection that has not authenticated.
const minAuthLine = 6

// The replies around authentication. Source: memcached 1.6.45.
const (
	ReplyUnauthenticated = "CLIENT_ERROR unauthenticated\r\n"
	ReplyAuthFailure     = "CLIENT_ERROR authentication failure\r\n"
	ReplyBadAuthToken    = "CLIENT_ERROR bad authentication token format\r\n"
	ReplyBadAuthEnd      = "CLIENT_ERROR bad command line termination\r\n"
	ReplyAuthTooLong     = "CLIENT_ERROR auth token too long\r\n"
)

// DecodeAuth is Decode for a connection that has not authenticated. What comes out is OpSet, whose Value holds user name
// and password for SplitAuth and whose reply no noreply suppresses, or OpError. memcached takes the data block of any
// other command for commands; here it is swallowed where its size can be read, so that a value never authenticates.
func (d *Decoder) DecodeAuth(b []byte, r *Request) (n, need int, err error) {
	d.scanned, d.need = 0, 0
	if !d.ready {
		d.setDefaults()
	}
	if d.swallow > 0 {
		n = min(d.swallow, len(b))
		d.swallow -= n
		b = b[n:]
	}
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		if len(b) > d.MaxLine {
			fail(r, "", false)
			r.Close = true
			return n + len(b), 0, nil
		}
		return n, 0, ErrIncomplete
	}
	size, ok := d.decodeAuthLine(b[:end], b[end+1:], r)
	if !ok {
		return n, end + 1 + size, ErrIncomplete
	}
	return n + end + 1 + size, 0, nil
}

// decodeAuthLine is decodeLine for DecodeAuth.
func (d *Decoder) decodeAuthLine(line, data []byte, r *Request) (size int, ok bool) {
	if len(line) < minAuthLine {
		fail(r, "", false)
		r.Close = true
		return 0, true
	}
	line = bytes.TrimSuffix(line, []byte("\r"))
	cmd, rest := nextToken(line)
	var args argList
	n := args.split(rest)
	at := 3 // of the size of the data
	switch string(cmd) {
	case "set", "add", "replace", "append", "prepend", "cas":
	case "ms":
		at = 1
	default:
		refuseUnknown(cmd, line, r)
		if !r.Close {
			r.Reply = ReplyUnauthenticated
		}
		return 0, true
	}
	fail(r, ReplyUnauthenticated, false)
	if n <= at {
		return 0, true
	}
	length, valid := parseInt(args[at])
	if !valid || length < 0 || length > maxDataSize {
		return 0, true
	}
	size = int(length) + 2
	if string(cmd) != "set" || length > maxAuthData {
		if string(cmd) == "set" {
			r.Reply = ReplyAuthTooLong
		}
		d.swallow = size
		return 0, true
	}
	if len(data) < size {
		return size, false
	}
	if data[size-2] != '\r' || data[size-1] != '\n' {
		r.Reply = ReplyBadAuthEnd
		return size, true
	}
	*r = Request{Op: OpSet, Key: args[0], Value: data[: size-2 : size-2]}
	return size, true
}

// SplitAuth splits the data of an authentication: the name ends at the first space, the password is the rest.
func SplitAuth(data []byte) (name, password []byte, ok bool) {
	return bytes.Cut(data, []byte(" "))
}

// AppendAuthRequest appends an authentication. The name must hold no space.
func AppendAuthRequest(dst []byte, name, password string) []byte {
	dst = append(appendStore(dst, OpSet, "auth", 0, 0, len(name)+1+len(password)), '\r', '\n')
	dst = append(append(dst, name...), ' ')
	return append(append(dst, password...), '\r', '\n')
}
