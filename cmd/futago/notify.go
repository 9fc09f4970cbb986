package main

import (
	"fmt"
	"net"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
)

// notifySystemd sends a state, such as READY=1, to the service manager that started this process. Without
// one it does nothing.
func notifySystemd(state string) error {
	if _, err := daemon.SdNotify(false, state); err != nil {
		return fmt.Errorf("notify systemd of %s: %w", state, err)
	}
	return nil
}

// systemdSockets are the listeners that the service manager has opened for this process. Programs that this one starts do not get them.
func systemdSockets() ([]net.Listener, error) {
	var listeners []net.Listener
	for _, f := range activation.Files(true) {
		l, err := net.FileListener(f)
		if err != nil {
			return nil, fmt.Errorf("take socket %s from systemd: %w: want one that streams and listens", f.Name(), err)
		}
		f.Close() // l has a descriptor of its own
		listeners = append(listeners, l)
	}
	return listeners, nil
}

// minPulse lets idle network loops come round between two looks at them.
const minPulse = 2 * time.Second

// keepWatchdog tells the service manager that this process lives, three times in each interval and as long as pulse says so, until
// finished is closed. An interval of 0 is none: nobody waits for it.
func keepWatchdog(interval time.Duration, pulse func() bool, tell func(state string), finished <-chan struct{}) {
	if interval <= 0 {
		return
	}
	tick := time.NewTicker(max(interval/3, minPulse))
	defer tick.Stop()
	for {
		select {
		case <-finished:
			return
		case <-tick.C:
		}
		if pulse() {
			tell("WATCHDOG=1")
		}
	}
}
