package server

import (
	"context"
	"log/slog"

	"golang.org/x/sys/unix"
)

// spareDescriptors are kept for everything but client connections: log segments, peers, the admin port.
const spareDescriptors = 128

// fitDescriptors raises the limit on descriptors as far as it goes, and lowers the number of connections to the rest.
func fitDescriptors(maxConns int, logger *slog.Logger) int {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		logger.Warn("read the limit on descriptors", "err", err)
		return maxConns
	}
	want := uint64(maxConns) + spareDescriptors
	if lim.Cur < want && lim.Cur < lim.Max {
		raised := unix.Rlimit{Cur: min(want, lim.Max), Max: lim.Max}
		if unix.Setrlimit(unix.RLIMIT_NOFILE, &raised) == nil {
			lim = raised
		}
	}
	if lim.Cur >= want {
		return maxConns
	}
	fit := max(int(lim.Cur)-spareDescriptors, 1)
	level := slog.LevelWarn
	if fit >= maxConns-maxConns/100 { // nobody will miss those
		level = slog.LevelInfo
	}
	logger.Log(context.Background(), level, "max-conns lowered: the system allows fewer descriptors", "max-conns", maxConns, "lowered", fit, "descriptors", lim.Cur)
	return fit
}
