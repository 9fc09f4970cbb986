package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// scaleCase is one kind of measurement. run adds to the tables of a report, and stops at the first error. Each starts
// servers of its own, so that none depends on what another left.
type scaleCase struct {
	name string
	run  func(ctx context.Context, r *scaleRun) error
}

var scaleCases = []scaleCase{
	{"load", scaleLoad},
	{"start", scaleStart},
	{"overwrite", scaleOverwrite},
	{"delete", scaleDelete},
	{"expire", scaleExpire},
	{"limit", scaleLimited},
}

// scaleRun is the measurement of one number of records.
type scaleRun struct {
	benchCase string
	config    *ScaleConfig
	report    *ScaleReport
	records   *records
}

// ScaleCases returns the names of all cases.
func ScaleCases() []string {
	var names []string
	for _, sc := range scaleCases {
		names = append(names, sc.name)
	}
	return names
}

// MeasureScale starts a futago node, and memcached and Redis beside it, on free loopback ports with data in temporary
// folders, measures them with growing numbers of records, and kills them. A case that goes wrong does not stop the
// others; with the error comes the report of all that was measured.
func MeasureScale(ctx context.Context, c ScaleConfig) (*ScaleReport, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	for _, name := range []string{c.Futago, "memcached", redisProgram} {
		if c.Alone && name != c.Futago {
			continue
		}
		if _, err := lookProgram(name); err != nil {
			return nil, err
		}
	}
	report := newScaleReport(c)
	var errs []error
	for _, n := range c.Records {
		for _, sc := range scaleCases {
			if len(c.Cases) > 0 && !slices.Contains(c.Cases, sc.name) {
				continue
			}
			c.logf("%s, %s records", sc.name, count(n))
			begun := time.Now()
			err := sc.run(ctx, &scaleRun{sc.name, &c, report, newRecords(n, c.ValueSize)})
			if err == nil {
				c.logf("%s, %s records: done in %v", sc.name, count(n), time.Since(begun).Round(time.Second))
				continue
			}
			errs = append(errs, fmt.Errorf("measure %s, %s records: %w", sc.name, count(n), err))
			if ctx.Err() != nil {
				report.finish()
				return report, errors.Join(errs...)
			}
		}
	}
	report.finish()
	return report, errors.Join(errs...)
}

// filled starts a server and sets all records. took is how long the sets were on their way, others the processors that
// others used meanwhile.
func (r *scaleRun) filled(ctx context.Context, name string) (s *scaleServer, took time.Duration, others float64, err error) {
	s, err = startScaleServer(ctx, r.config, name, memoryOf(name, r.records))
	if err != nil {
		return nil, 0, 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.discard())
		}
	}()
	otherCores, err := s.others()
	if err != nil {
		return nil, 0, 0, err
	}
	if took, err = s.fill(ctx, r.config, r.records); err != nil {
		return nil, 0, 0, err
	}
	if others, err = otherCores(); err != nil {
		return nil, 0, 0, err
	}
	return s, took, others, s.holds(ctx, r.records.n)
}
