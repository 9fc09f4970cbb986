package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// scaleStart measures the start of a node that has its records on disk, beside Redis that loads its file.
func scaleStart(ctx context.Context, r *scaleRun) error {
	t := r.report.table("start", "from the start of the process to its first answer to a get, with its files in the page cache (warm) or not (cold)",
		"s", "records/s", "Redis' s / this", "s to stop or save", "disk B/record", "anonymous MiB after", "file-mapped MiB after")
	redis := make(map[string]time.Duration) // by cache
	if !r.config.Alone {
		if err := fits(redisServer, r.records); err != nil {
			r.skip(err)
		} else if err := r.startRedis(ctx, t, redis); err != nil {
			return err
		}
	}
	if err := fits(futagoServer, r.records); err != nil {
		r.skip(err)
		return nil
	}
	return r.startFutago(ctx, t, redis)
}

// caches says what is in the page cache when a server starts.
var caches = []string{"warm", "cold"}

func (r *scaleRun) startRedis(ctx context.Context, t *Table, took map[string]time.Duration) (err error) {
	s, _, _, err := r.filled(ctx, redisServer)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.discard()) }()
	r.config.logf("  redis: save")
	begun := time.Now()
	if line, err := s.ask(ctx, "SAVE\r\n"); err != nil || line != "+OK" {
		return errors.Join(err, fmt.Errorf("save the records of redis: reply %.100q", line))
	}
	saved := time.Since(begun)
	for range r.config.Rounds {
		for _, cache := range caches {
			s.kill()
			took[cache], err = r.start(ctx, t, s, "RDB, "+cache, cache, saved, nil)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *scaleRun) startFutago(ctx context.Context, t *Table, redis map[string]time.Duration) (err error) {
	s, _, _, err := r.filled(ctx, futagoServer)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.discard()) }()
	for round := range r.config.Rounds {
		for i, cache := range caches {
			for j, stop := range []string{"SIGTERM", "kill -9"} {
				// Something must have been written since the last start, or there is nothing to recover.
				if err := s.change(ctx, r, r.records.n/100+1, 3+4*round+2*i+j); err != nil {
					return err
				}
				stopped := time.Duration(0)
				if stop == "SIGTERM" {
					stopped, err = s.terminate(ctx)
				} else {
					s.kill()
				}
				if err != nil {
					return err
				}
				if _, err := r.start(ctx, t, s, stop+", "+cache, cache, stopped, redis); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// change sets the first n records to another version.
func (s *scaleServer) change(ctx context.Context, r *scaleRun, n, version int) error {
	return s.send(ctx, r.config, s.bulk(each(n, func(dst []byte, i int) []byte {
		return r.records.appendSet(dst, s.peer.protocol, keptKeys, i, version, 0)
	})), n, "change 1 % of the records")
}

// start starts an ended server and notes how long it took, beside Redis with the same cache.
func (r *scaleRun) start(ctx context.Context, t *Table, s *scaleServer, what, cache string, stopped time.Duration, redis map[string]time.Duration) (took time.Duration, err error) {
	if cache == "cold" {
		if err := s.forget(); err != nil {
			return 0, err
		}
	}
	r.config.logf("  %s: start after %s", s.peer.name, what)
	before := s.process
	otherCores, err := watchOthers(func() (cpuTime, error) {
		if s.process == before {
			return 0, nil
		}
		return s.cpu()
	})
	if err != nil {
		return 0, err
	}
	if took, err = s.restart(ctx, r.records); err != nil {
		return 0, err
	}
	others, err := otherCores()
	if err != nil {
		return 0, err
	}
	if err := s.holds(ctx, r.records.n); err != nil {
		return 0, err
	}
	m, err := s.memory()
	if err != nil {
		return 0, err
	}
	disk, err := s.disk()
	if err != nil {
		return 0, err
	}
	return took, r.add(t, s.peer.name, what, Round{OtherCores: others, Values: []float64{took.Seconds(), float64(r.records.n) / took.Seconds(),
		redis[cache].Seconds() / took.Seconds(), stopped.Seconds(),
		float64(disk) / float64(r.records.n), float64(m.anonymous) / mib, float64(m.file) / mib}}, nil)
}
