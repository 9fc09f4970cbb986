package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// memoryGroup is a control group of this program's own that bounds the memory of the processes in it, page cache
// included. It must be removed after they have ended.
type memoryGroup struct {
	dir                      string
	limit, peak, events, key string // names of its files, and what stands before the kills in the file events
}

// newMemoryGroup makes a group of at most so many bytes below the group of this process (version 1), or below the
// nearest that hands on the memory controller (version 2). The error says why none could be made.
func newMemoryGroup(bytes int64) (*memoryGroup, error) {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("find the control group of this process: %w", err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("find the control groups of this machine: %w", err)
	}
	errs := []error{errors.New("make a control group for memory: none of version 1 or 2 hands the memory controller on")}
	for _, g := range memoryGroups(own, mounts) {
		err := g.make(bytes)
		if err == nil {
			return g, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// memoryGroups are the groups that could be made, by the contents of /proc/self/cgroup and mountinfo.
func memoryGroups(own, mounts []byte) (groups []*memoryGroup) {
	name := "futago-bench-" + strconv.Itoa(os.Getpid())
	paths := make(map[string]string) // of this process, by controller; "" is version 2
	for line := range bytes.Lines(own) {
		// Source: cgroups(7), /proc/pid/cgroup: "4:cpu,memory:/path", "0::/path".
		words := strings.SplitN(strings.TrimSpace(string(line)), ":", 3)
		if len(words) != 3 {
			continue
		}
		for controller := range strings.SplitSeq(words[1], ",") {
			paths[controller] = words[2]
		}
	}
	for line := range bytes.Lines(mounts) {
		// Source: proc(5): "36 35 0:33 /root /mount/point rw - cgroup name rw,memory".
		front, back, ok := strings.Cut(strings.TrimSpace(string(line)), " - ")
		at, kind := strings.Fields(front), strings.Fields(back)
		if !ok || len(at) < 5 || len(kind) < 3 {
			continue
		}
		below := func(path string) string {
			return filepath.Join(at[4], strings.TrimPrefix(path, strings.TrimSuffix(at[3], "/")))
		}
		path, memory := paths["memory"]
		switch {
		case kind[0] == "cgroup" && memory && strings.Contains(","+kind[2]+",", ",memory,"):
			groups = append(groups, &memoryGroup{dir: filepath.Join(below(path), name), limit: "memory.limit_in_bytes",
				peak: "memory.max_usage_in_bytes", events: "memory.oom_control", key: "oom_kill "})
		case kind[0] == "cgroup2":
			path := below(paths[""])
			for _, parent := range []string{path, filepath.Dir(path)} {
				if b, err := os.ReadFile(filepath.Join(parent, "cgroup.subtree_control")); err == nil && strings.Contains(" "+string(b)+" ", "memory") {
					groups = append(groups, &memoryGroup{dir: filepath.Join(parent, name), limit: "memory.max",
						peak: "memory.peak", events: "memory.events", key: "oom_kill "})
				}
			}
		}
	}
	return groups
}

func (g *memoryGroup) make(bytes int64) error {
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return fmt.Errorf("make control group: %w", err)
	}
	if err := os.WriteFile(filepath.Join(g.dir, g.limit), []byte(strconv.FormatInt(bytes, 10)), 0); err != nil {
		return errors.Join(fmt.Errorf("bound control group: %w", err), g.remove())
	}
	return nil
}

// enter is what stands before a command that is to run in the group from its first page on.
func (g *memoryGroup) enter() []string {
	return []string{"/bin/sh", "-c", `echo $$ >"$0" && exec "$@"`, filepath.Join(g.dir, "cgroup.procs")}
}

// used returns the most memory that the group has had, 0 where the kernel does not say, and its processes killed for
// want of it.
func (g *memoryGroup) used() (peak int64, kills int, err error) {
	if b, err := os.ReadFile(filepath.Join(g.dir, g.peak)); err == nil { // memory.peak: since Linux 5.19
		if peak, err = strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err != nil {
			return 0, 0, fmt.Errorf("read memory of the control group: %w", err)
		}
	}
	b, err := os.ReadFile(filepath.Join(g.dir, g.events))
	if err != nil {
		return 0, 0, fmt.Errorf("read events of the control group: %w", err)
	}
	for line := range bytes.Lines(b) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(string(line)), g.key); ok {
			kills, err = strconv.Atoi(text)
		}
	}
	return peak, kills, err
}

// remove removes the group, whose processes have ended.
func (g *memoryGroup) remove() error {
	if err := os.Remove(g.dir); err != nil {
		return fmt.Errorf("remove control group: %w", err)
	}
	return nil
}
