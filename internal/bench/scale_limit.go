package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

const (
	// timesMemory is how much larger the data are than the memory that a node may take for everything.
	timesMemory = 3
	// leastLimit is the least memory that is allowed: the program and its runtime need some of it. With few records the
	// values are made larger.
	leastLimit = 256 << 20
	// limitSkew is the exponent of the Zipf distribution.
	limitSkew = 0.99
)

// scaleLimited measures a node with three times as much data as it may have in memory, page cache included.
func scaleLimited(ctx context.Context, r *scaleRun) error {
	t := r.report.table("limit", fmt.Sprintf("a node that may have a third of its data in memory, page cache included; 50 connections, one request at a time on each; Zipf's exponent is %g", limitSkew),
		"ops/s", "p50 us", "p99 us", "p99.9 us", "max us", "worst second's p99 us", "major faults/op", "value B", "limit MiB", "most MiB", "anonymous MiB", "s to start")
	own := *r
	own.records = newRecords(r.records.n, min(max(r.records.valueSize, timesMemory*leastLimit/r.records.n), maxScaleValueSize))
	return own.changed(ctx, func(s *scaleServer) (err error) {
		disk, err := s.disk()
		if err != nil {
			return err
		}
		limit := max(disk/timesMemory, leastLimit)
		group, err := newMemoryGroup(limit)
		if err != nil {
			r.skip(err)
			return nil
		}
		// Before onNode ends it: a group with a process in it cannot be removed.
		defer func() {
			s.kill()
			err = errors.Join(err, group.remove())
		}()
		if _, err := s.terminate(ctx); err != nil {
			return err
		}
		if err := s.forget(); err != nil { // what is in the page cache counts for who brought it there
			return err
		}
		r.config.logf("  start with at most %d MiB of memory for %d MiB of data", limit>>20, disk>>20)
		started, err := s.restart(ctx, own.records, group.enter()...)
		if err != nil {
			return fmt.Errorf("with at most %d MiB of memory: %w", limit>>20, err)
		}
		n := own.records.n
		get := func(dst []byte, i int) []byte { return own.records.appendGet(dst, Memcache, i) }
		set := func(dst []byte, i int) []byte { return own.records.appendSet(dst, Memcache, keptKeys, i, 1, 0) }
		for _, load := range []struct {
			what string
			next func([]byte) ([]byte, bool)
		}{
			{"uniform gets", endless(uniform(n, 1), get)},
			{"Zipf gets", endless(zipfian(n, limitSkew, 2), get)},
			{"uniform sets", endless(uniform(n, 3), set)},
		} {
			round, err := own.limited(ctx, s, load.what, load.next)
			if err != nil {
				return err
			}
			peak, kills, err := group.used()
			if err != nil {
				return err
			}
			if kills > 0 {
				round.doubt("%d processes were killed for want of memory", kills)
			}
			m, err := s.memory()
			if err != nil {
				return err
			}
			round.Values = append(round.Values, float64(own.records.valueSize), float64(limit)/mib, float64(peak)/mib, float64(m.anonymous)/mib, started.Seconds())
			if err := own.add(t, futagoServer, load.what, round, nil); err != nil {
				return err
			}
		}
		return s.holds(ctx, n)
	})
}

// limited makes a load for twice the window and measures the second half: the first brings into memory what fits.
func (r *scaleRun) limited(ctx context.Context, s *scaleServer, what string, next func([]byte) ([]byte, bool)) (round Round, err error) {
	r.config.logf("  %s", what)
	otherCores, err := s.others()
	if err != nil {
		return round, err
	}
	load := s.bulk(next)
	load.connections, load.depth = 50, 1
	from, to := r.config.Window, 2*r.config.Window
	until := make(chan struct{})
	end := time.AfterFunc(to, func() { close(until) })
	defer end.Stop()
	faults, err := majorFaults(s.cmd.Process.Pid)
	if err != nil {
		return round, err
	}
	if err := runStreams(ctx, until, load); err != nil {
		select {
		case <-s.exited:
			err = fmt.Errorf("the node ended with %v: %s", s.cmd.ProcessState, s.output.String())
		default:
		}
		return round, fmt.Errorf("%s: %w", what, err)
	}
	if err := load.failure(); err != nil {
		return round, fmt.Errorf("%s: %w", what, err)
	}
	after, err := majorFaults(s.cmd.Process.Pid)
	if err != nil {
		return round, err
	}
	if round.OtherCores, err = otherCores(); err != nil {
		return round, err
	}
	if load.counts.misses > 0 {
		round.doubt("%d misses", load.counts.misses)
	}
	v := load.between(from, to).values()
	last := len(v) - 1
	round.Values = append([]float64{v[last]}, v[:last]...) // ops/s first
	round.Values = append(round.Values, float64(after-faults)/float64(load.counts.replies))
	return round, nil
}

// majorFaults returns the pages that a process had to wait for the disk for.
func majorFaults(pid int) (uint64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read page faults of process %d: %w", pid, err)
	}
	const majflt = 12 - 3 // see parseProcessStat
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) <= majflt {
		return 0, fmt.Errorf("read page faults of process %d: stat line has %d fields after the name", pid, len(fields))
	}
	return strconv.ParseUint(string(fields[majflt]), 10, 64)
}
