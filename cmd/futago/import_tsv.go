package main

import (
	"fmt"
	"io"
	"os"

	"github.com/futago/futago/internal/migrate"
	"github.com/spf13/cobra"
)

func newImportTSVCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "tsv FILE|-",
		Short: "Store the records of a file of tab-separated values",
		Long: `Store the records of a file with a line for each: key, TAB, value, LF, as 'futago export' writes it and
'tcrmgr importtsv' reads it. The key ends at the first TAB; lines without one are skipped and counted. With -
the lines come from standard input.`,
		Example: `  futago import tsv records.tsv
  tcrmgr list -pv 10.0.0.9 | futago import tsv - --addr 10.0.0.1:11211`,
		Args: words(1, 1),
	}
	config := newNodeConfig(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		target, err := config.load(cmd)
		if err != nil {
			return err
		}
		from, size := cmd.InOrStdin(), int64(0)
		if args[0] != "-" {
			file, err := os.Open(args[0])
			if err != nil {
				return fmt.Errorf("open records: %w", err)
			}
			defer file.Close()
			if info, err := file.Stat(); err == nil {
				size = info.Size()
			}
			from = file
		}
		errOut := cmd.ErrOrStderr()
		bar, end := progressBar(errOut, "storing", true)
		progress := func(int64) {}
		if bar != nil {
			progress = func(done int64) { bar(done, max(size, done)) }
		}
		done, problem := migrate.Load(cmd.Context(), target, from, progress)
		end()
		print := func() error { return printLoaded(cmd.OutOrStdout(), done) }
		if asJSON {
			print = func() error { return writeJSON(cmd.OutOrStdout(), done) }
		}
		if err := print(); err != nil {
			return fmt.Errorf("print result: %w", err)
		}
		tellRefused(errOut, done.Refusals)
		if problem != nil {
			return importHint(fmt.Errorf("import %s: %w", args[0], problem), "")
		}
		return notAll(done.Refused, 0)
	}
	return cmd
}

func printLoaded(w io.Writer, d *migrate.Loaded) error {
	_, err := fmt.Fprintf(w, "stored    %s of %s, %s refused, %s without a TAB skipped\n",
		counted(d.Stored, "record"), counted(d.Bytes, "byte"), grouped(d.Refused), counted(d.Skipped, "line"))
	return err
}
