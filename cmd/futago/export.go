package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/futago/futago/internal/migrate"
	"github.com/spf13/cobra"
)

func newExportCommand() *cobra.Command {
	var prefix, format, path string
	var skipUnfit bool
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the records of a node as tab-separated values",
		Long: `Write the records of a node, a line for each: key, TAB, value, LF, as 'tcrmgr importtsv' and 'futago import tsv'
read it. A line cannot express a key or value with a TAB, an LF or a NUL: such records are left out, counted and
named on standard error, and the exit code is 1 unless --skip-unfit says that this is fine. Expiry times and
memcached's flags are not written; numbers of addint and adddouble hold NULs mostly.

A record that is there all the time is written once; one that changes meanwhile as it was before or after. For a backup
of everything use 'futago backup'.`,
		Example: `  futago export -o records.tsv
  futago export --prefix user: --addr 10.0.0.1:11211 | sort > users.tsv
  futago export --skip-unfit | tcrmgr importtsv 10.0.0.9 -`,
		Args: noWords,
	}
	config := newNodeConfig(cmd)
	flags := cmd.Flags()
	flags.StringVar(&prefix, "prefix", "", "only records whose key begins with `TEXT`")
	flags.StringVar(&format, "format", "tsv", "how records are written: tsv is all there is")
	flags.StringVarP(&path, "output", "o", "-", "write to this `FILE`, - is standard output")
	flags.BoolVar(&skipUnfit, "skip-unfit", false, "exit code 0 although records could not be expressed")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if format != "tsv" {
			return usageError{fmt.Errorf("--format %q: allowed is tsv", format)}
		}
		source, err := config.load(cmd)
		if err != nil {
			return err
		}
		errOut := cmd.ErrOrStderr()
		progress, end := progressBar(errOut, "reading", false)
		var done *migrate.Exported
		problem := writeTo(path, cmd.OutOrStdout(), func(w io.Writer) error {
			done, err = migrate.Export(cmd.Context(), source, []byte(prefix), w, progress)
			return err
		})
		end()
		if problem != nil {
			return importHint(fmt.Errorf("export: %w", problem), "")
		}
		if done.Unfit > 0 {
			tellKeys(errOut, counted(done.Unfit, "record")+" left out, with a TAB, LF or NUL in key or value", done.Keys)
		}
		fmt.Fprintf(errOut, "futago: %s written, %s\n", counted(done.Records, "record"), counted(done.Bytes, "byte"))
		if done.Unfit > 0 && !skipUnfit {
			return withHint(errors.New("export: not all records can be written as tab-separated values"), "--skip-unfit accepts that.")
		}
		return nil
	}
	return cmd
}

// writeTo calls write with a file that is complete on the disk afterwards, or with stdout for -.
func writeTo(path string, stdout io.Writer, write func(w io.Writer) error) error {
	if path == "-" {
		return write(stdout)
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	err = write(file)
	return errors.Join(err, file.Sync(), file.Close())
}
