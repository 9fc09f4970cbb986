package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
)

// memory is what a process has in memory, in bytes.
type memory struct {
	anonymous uint64 // of its own
	file      uint64 // the other resident pages: mapped files, which the system may take back
}

// atLeast returns the larger of each.
func (m memory) atLeast(o memory) memory {
	return memory{max(m.anonymous, o.anonymous), max(m.file, o.file)}
}

// readMemory reads the memory of a process. The kernel walks its page tables for that: ask seldom.
func readMemory(pid int) (memory, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return memory{}, fmt.Errorf("read memory of process %d: %w", pid, err)
	}
	m, err := parseSmapsRollup(b)
	if err != nil {
		return memory{}, fmt.Errorf("read memory of process %d: %w", pid, err)
	}
	return m, nil
}

// parseSmapsRollup reads lines such as "Anonymous:  7304 kB". Source: proc(5), /proc/pid/smaps_rollup.
func parseSmapsRollup(b []byte) (memory, error) {
	sizes := make(map[string]uint64)
	for line := range bytes.Lines(b) {
		fields := bytes.Fields(line)
		if len(fields) != 3 || string(fields[2]) != "kB" {
			continue
		}
		name := string(fields[0])
		if name != "Rss:" && name != "Anonymous:" {
			continue
		}
		kib, err := strconv.ParseUint(string(fields[1]), 10, 50)
		if err != nil {
			return memory{}, fmt.Errorf("line %.100q has no size", line)
		}
		if _, again := sizes[name]; again {
			return memory{}, fmt.Errorf("line %.100q is there twice", line)
		}
		sizes[name] = kib << 10
	}
	rss, anonymous := sizes["Rss:"], sizes["Anonymous:"]
	if len(sizes) != 2 || anonymous > rss {
		return memory{}, errors.New("smaps_rollup does not say Rss and Anonymous, which is part of it")
	}
	return memory{anonymous: anonymous, file: rss - anonymous}, nil
}
