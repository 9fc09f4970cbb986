package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// pairCase is one kind of measurement. run adds to the tables of r, and stops at the first error.
type pairCase struct {
	name string
	run  func(ctx context.Context, c *PairConfig, r *PairReport) error
}

var pairCases = []pairCase{
	{"lag", measureLag},
	{"sets", measureSets},
	{"failover", measureFailover},
	{"ready", measureReady},
	{"copy", measureCopy},
}

// PairCases returns the names of all cases.
func PairCases() []string {
	var names []string
	for _, pc := range pairCases {
		names = append(names, pc.name)
	}
	return names
}

// MeasurePair starts pairs of futago nodes on free loopback ports, measures them, and kills them. A case that goes
// wrong does not stop the others; with the error comes the report of all that was measured.
func MeasurePair(ctx context.Context, c PairConfig) (*PairReport, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if _, err := lookProgram(c.Futago); err != nil {
		return nil, err
	}
	report := newPairReport(c)
	var errs []error
	for _, pc := range pairCases {
		if len(c.Cases) > 0 && !slices.Contains(c.Cases, pc.name) {
			continue
		}
		begun := time.Now()
		err := pc.run(ctx, &c, report)
		if err == nil {
			c.logf("%s: done in %v", pc.name, time.Since(begun).Round(time.Second))
			continue
		}
		errs = append(errs, fmt.Errorf("measure %s: %w", pc.name, err))
		if ctx.Err() != nil {
			break
		}
	}
	report.finish()
	return report, errors.Join(errs...)
}
