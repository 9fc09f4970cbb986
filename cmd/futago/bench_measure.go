package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// measure runs a measurement that the user may interrupt. futago is the path of the binary to measure; empty, it becomes
// that of this program.
func measure(cmd *cobra.Command, futago *string, config interface{ Validate() error }, run func(context.Context) error) error {
	if *futago == "" {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find the futago binary: %w", err)
		}
		*futago = self
	}
	if err := config.Validate(); err != nil {
		return usageError{err}
	}
	ctx, stop := interruptible(cmd)
	defer stop()
	return run(ctx)
}

// withRaw runs a measurement that writes single results to the file path; "" means to none.
func withRaw(path string, run func(raw io.Writer) error) error {
	if path == "" {
		return run(nil)
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write raw results: %w", err)
	}
	return errors.Join(run(f), f.Close())
}

// writeReport prints a report for people, or as JSON.
func writeReport(w io.Writer, report interface{ Write(io.Writer) error }, asJSON bool) error {
	if asJSON {
		return writeJSON(w, report)
	}
	return report.Write(w)
}
