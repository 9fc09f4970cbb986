package node

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
)

// MemoryStatus is the memory of the process that is in use now, as the kernel counts it, bytes.
type MemoryStatus struct {
	Anonymous int64 `json:"anonymous_bytes"` // its own: index, buffers, with --data none the records
	Mapped    int64 `json:"mapped_bytes"`    // of files, above all the log: the kernel takes it back when it needs it
}

// DiskStatus is the disk of the log.
type DiskStatus struct {
	Free    int64 `json:"free_bytes"`
	MinFree int64 `json:"min_free_bytes"` // below which client writes are refused
}

// maxProcStatus bounds what is read of the kernel's word on this process, bytes.
const maxProcStatus = 16 << 10

// readMemory asks the kernel; nil where it does not say.
func readMemory() *MemoryStatus {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return nil
	}
	defer f.Close()
	var buf [maxProcStatus]byte
	n, _ := f.Read(buf[:])
	var m MemoryStatus
	found := false
	lines := bufio.NewScanner(bytes.NewReader(buf[:n]))
	for lines.Scan() {
		words := bytes.Fields(lines.Bytes())
		if len(words) != 3 || string(words[2]) != "kB" {
			continue
		}
		kib, err := strconv.ParseInt(string(words[1]), 10, 64)
		if err != nil {
			continue
		}
		switch string(words[0]) {
		case "RssAnon:":
			m.Anonymous, found = kib<<10, true
		case "RssFile:", "RssShmem:":
			m.Mapped += kib << 10
		}
	}
	if !found {
		return nil
	}
	return &m
}

// disk asks for the space that is left; nil for a store in memory.
func (n *Node) disk() *DiskStatus {
	if n.cfg.Data == "none" {
		return nil
	}
	free, err := n.fs.Free()
	if err != nil {
		return nil
	}
	return &DiskStatus{free, n.present().MinFree}
}
