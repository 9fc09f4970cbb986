// Package addr reads the addresses that settings name, and listens at them: host:port, [v6]:port, :port (all interfaces) and
// unix:/path.
package addr

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// unixPathMax is the longest path of a unix socket: sun_path of Linux, less its closing NUL.
const unixPathMax = 107

// Split turns host:port, [v6]:port, :port or unix:/path into the arguments of net.Dial and net.Listen.
func Split(addr string) (network, address string, err error) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		switch {
		case path == "" || strings.ContainsRune(path, 0):
			return "", "", fmt.Errorf("address %q: want unix:/path", addr)
		case len(path) > unixPathMax:
			return "", "", fmt.Errorf("address %q: path of %d bytes, want at most %d", addr, len(path), unixPathMax)
		}
		return "unix", path, nil
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", "", fmt.Errorf("address %q: want host:port, [v6]:port, :port or unix:/path", addr)
	}
	if strings.ContainsAny(host, "/ \t\r\n\x00") {
		return "", "", fmt.Errorf("address %q: bad host name", addr)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", "", fmt.Errorf("address %q: port %q, want 0 to 65535", addr, port)
	} else {
		port = strconv.FormatUint(n, 10)
	}
	return "tcp", net.JoinHostPort(host, port), nil
}

// CheckDial says why addr cannot be connected to, if so.
func CheckDial(addr string) error {
	network, address, err := Split(addr)
	if err != nil {
		return err
	}
	if network == "tcp" && strings.HasSuffix(address, ":0") {
		return fmt.Errorf("address %q: port 0, want 1 to 65535", addr)
	}
	return nil
}

// Listen opens addr. A unix socket that a dead process left behind is replaced; one that answers is not.
func Listen(addr string) (net.Listener, error) {
	network, address, err := Split(addr)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen(network, address)
	if network == "unix" && errors.Is(err, syscall.EADDRINUSE) && abandonedSocket(address) {
		if err := os.Remove(address); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("remove stale socket %s: %w", address, err)
		}
		l, err = net.Listen(network, address)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return l, nil
}

// abandonedSocket says whether path is a unix socket at which nobody listens.
func abandonedSocket(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return false
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		conn.Close()
		return false
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// Of writes a listener's address in the form that Split reads; "" for none.
func Of(l net.Listener) string {
	switch {
	case l == nil:
		return ""
	case l.Addr().Network() == "unix":
		return "unix:" + l.Addr().String()
	}
	return l.Addr().String()
}
