package main

import (
	"fmt"
	"net"
	"os"
	"strings"
)

// notifySystemd sends a state, such as READY=1, to the service manager that started this process. Without
// one it does nothing. Source: sd_notify(3) of systemd 252.
func notifySystemd(state string) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	// A path, or a name in the abstract namespace, for which both systemd and Go write @.
	if !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "@") {
		return fmt.Errorf("notify systemd of %s: NOTIFY_SOCKET %q is neither a path nor an abstract name", state, path)
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify systemd of %s: %w", state, err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("notify systemd of %s: %w", state, err)
	}
	return nil
}
