package bench

import (
	"context"
	"errors"
)

// scaleLoad measures how fast servers take records, and the memory and disk that these need.
func scaleLoad(ctx context.Context, r *scaleRun) error {
	t := r.report.table("load", "sets as fast as they are taken; memory and disk right after them",
		"records/s", "s", "anonymous MiB", "anonymous B/record", "file-mapped B/record", "disk B/record", "anonymous / memcached's")
	cached := 0.0 // anonymous memory of memcached
	for _, name := range []string{memcachedServer, redisServer, futagoServer} {
		if r.config.Alone && name != futagoServer {
			continue
		}
		if err := fits(name, r.records); err != nil {
			r.skip(err)
			continue
		}
		if err := r.load(ctx, t, name, &cached); err != nil {
			return err
		}
	}
	return nil
}

func (r *scaleRun) load(ctx context.Context, t *Table, name string, cached *float64) (err error) {
	s, took, others, err := r.filled(ctx, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.discard()) }()
	m, err := s.memory()
	if err != nil {
		return err
	}
	disk, err := s.disk()
	if err != nil {
		return err
	}
	if name == memcachedServer {
		*cached = float64(m.anonymous)
	}
	ratio := 0.0
	if *cached > 0 {
		ratio = float64(m.anonymous) / *cached
	}
	n := float64(r.records.n)
	return r.add(t, name, "", Round{OtherCores: others, Values: []float64{n / took.Seconds(), took.Seconds(), float64(m.anonymous) / mib,
		float64(m.anonymous) / n, float64(m.file) / n, float64(disk) / n, ratio}}, nil)
}
