package proxy

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"

	"github.com/futago/futago/internal/memcache"
)

// dial opens a connection to the upstream and puts TLS on it, if that is configured.
func (u *upstream) dial(ctx context.Context) (net.Conn, error) {
	nc, err := new(net.Dialer).DialContext(ctx, u.network, u.address)
	if err != nil || u.proxy.cfg.TLS == nil {
		return nc, err
	}
	return u.proxy.cfg.TLS.Client(ctx, nc, u.address)
}

// greet authenticates, and finds out whether the server speaks the protocol and knows meta commands. The latter must be
// known before the first data block of one is sent: a server that does not know the command would take the data for
// commands. b takes the answers.
func (u *upstream) greet(nc net.Conn, p protocol, b []byte) (meta bool, err error) {
	if p == binaryProtocol {
		return false, u.greetBinary(nc, b)
	}
	if _, err := u.hail(nc, b); err != nil {
		return false, err
	}
	switch line, err := askLine(nc, "mn\r\n", b); {
	case err != nil:
		return false, err
	case line == "MN\r\n":
		return true, nil
	case line == memcache.ReplyError:
		return false, nil
	default:
		return false, fmt.Errorf("unexpected answer %.64q to mn", line)
	}
}

// hail asks for the version, and authenticates if the server wants that first. It is not done unasked: a server without
// users would store user and password as a record. A shorter command than this one makes memcached hang up.
func (u *upstream) hail(nc net.Conn, b []byte) (line string, err error) {
	const command = "version\r\n"
	line, err = askLine(nc, command, b)
	if err != nil || line != memcache.ReplyUnauthenticated {
		return line, err
	}
	conf := u.proxy.conf()
	user, password := conf.User, conf.Password
	if user == "" {
		return "", errNoUser
	}
	line, err = askLine(nc, string(memcache.AppendAuthRequest(nil, user, password)), b)
	switch {
	case err != nil:
		return "", fmt.Errorf("authenticate: %w", err)
	case line == memcache.ReplyAuthFailure:
		return "", errPassword
	case line != memcache.ReplyStored:
		return "", fmt.Errorf("authenticate: unexpected answer %.64q", line)
	}
	return askLine(nc, command, b)
}

// askLine sends a request and returns the line of its answer.
func askLine(nc net.Conn, request string, b []byte) (line string, err error) {
	if _, err := io.WriteString(nc, request); err != nil {
		return "", err
	}
	for n := 0; ; {
		more, err := nc.Read(b[n:])
		switch n += more; {
		case err != nil:
			return "", err
		case n > 0 && b[n-1] == '\n' || n == len(b):
			return string(b[:n]), nil
		}
	}
}

// greetBinary is greet for the binary protocol. SASL comes first: before it a server with users hangs up on anything else.
func (u *upstream) greetBinary(nc net.Conn, b []byte) error {
	if conf := u.proxy.conf(); conf.User != "" {
		plain := "\x00" + conf.User + "\x00" + conf.Password
		switch status, err := askFrame(nc, appendFrame(nil, memcache.OpcodeSASLAuth, memcache.SASLPlain, plain), b); {
		case err != nil:
			return fmt.Errorf("authenticate: %w", err)
		case status == memcache.BinaryAuthError:
			return errPassword
		case status != memcache.BinaryOK && status != memcache.BinaryUnknown: // it has no users
			return fmt.Errorf("authenticate: unexpected status %#x", uint16(status))
		}
	}
	switch status, err := askFrame(nc, []byte(noopFrame), b); {
	case err != nil:
		return err
	case status == memcache.BinaryAuthError:
		return errNoUser
	case status != memcache.BinaryOK:
		return fmt.Errorf("unexpected status %#x of noop", uint16(status))
	}
	return nil
}

// askFrame sends a request and returns the status of its answer.
func askFrame(nc net.Conn, request, b []byte) (memcache.BinaryStatus, error) {
	if _, err := nc.Write(request); err != nil {
		return 0, err
	}
	for n := 0; ; {
		more, err := nc.Read(b[n:])
		switch n += more; {
		case n > 0 && b[0] != binaryReply:
			return 0, errNoBinary
		case n >= binaryHeader && n >= binaryHeader+int(binary.BigEndian.Uint32(b[8:])):
			return frameStatus(b), nil
		case err != nil:
			return 0, err
		case n == len(b):
			return 0, &replyError{"frame too long", b[:binaryHeader]}
		}
	}
}

// appendFrame appends a request without extras, opaque and CAS unique.
func appendFrame(dst []byte, op memcache.Opcode, key, value string) []byte {
	dst = append(dst, binaryRequest, byte(op), byte(len(key)>>8), byte(len(key)), 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(key)+len(value)))
	dst = append(dst, make([]byte, binaryHeader-12)...)
	return append(append(dst, key...), value...)
}
