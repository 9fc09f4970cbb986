package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/futago/futago/internal/migrate"
	"github.com/futago/futago/internal/tyrant"
	"github.com/spf13/cobra"
)

// exportFormats are how export writes a record.
var exportFormats = map[string]func(w io.Writer, i *tyrant.Item) error{"jsonl": migrate.WriteJSON, "tsv": migrate.WriteTSV}

func newExportCommand() *cobra.Command {
	var prefix, format, path string
	var limit int64
	var skipUnfit bool
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the records of a node as JSON lines or tab-separated values",
		Long: `Write the records of a node, a line for each. The node serves meanwhile.

JSON lines, for 'futago import jsonl', hold everything that clients can store: key, value, flags, HTTP Content-Type and expiry:

  {"key":"user:7","flags":1,"type":"text/plain","expires":1798903445000,"value":"Ann"}

Tab-separated values, key, TAB, value, LF, for 'tcrmgr importtsv' and 'futago import tsv', hold key and value alone, and cannot
express a TAB, an LF or a NUL in them: such records are left out, counted and named on standard error, and the exit code is
1 unless --skip-unfit says that this is fine. Numbers of addint and adddouble hold NULs mostly.

A record that is there all the time is written once; one that changes meanwhile as it was before or after. The order
is the node's own and the same each time: pipe through sort for another one. FILE gets its name once it is whole. For a backup of everything, deletes
and counters of a pair included, use 'futago backup'.`,
		Example: `  futago export -o records.jsonl
  futago export --prefix user: --addr 10.0.0.1:11211 | sort > users.jsonl
  futago export | zstd > records.jsonl.zst
  futago export --limit 10
  futago export --format tsv --skip-unfit | tcrmgr importtsv 10.0.0.9 -`,
		Args: noWordsBut("--output"),
	}
	config := newNodeConfig(cmd)
	flags := cmd.Flags()
	flags.StringVar(&prefix, "prefix", "", "only records whose key begins with `TEXT`")
	flags.Int64Var(&limit, "limit", 0, "write at most so many records (default all)")
	flags.StringVar(&format, "format", "", "how records are written: jsonl or tsv (default tsv for a FILE that ends in .tsv, else jsonl)")
	flags.StringVarP(&path, "output", "o", "-", "write to this `FILE`, - is standard output")
	flags.BoolVar(&skipUnfit, "skip-unfit", false, "exit code 0 although records could not be expressed")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if format == "" {
			format = "jsonl"
			if strings.HasSuffix(path, ".tsv") {
				format = "tsv"
			}
		}
		write, ok := exportFormats[format]
		switch {
		case !ok:
			return usageError{fmt.Errorf("--format %q: allowed are jsonl and tsv", format)}
		case limit < 0:
			return usageError{fmt.Errorf("--limit %d: allowed is 0 or more", limit)}
		}
		source, err := config.load(cmd)
		if err != nil {
			return err
		}
		errOut := cmd.ErrOrStderr()
		progress, end := progressBar(errOut, "reading", false)
		ctx, stop := interruptible(cmd)
		defer stop()
		var done *migrate.Exported
		problem := writeTo(path, cmd.OutOrStdout(), func(w io.Writer) error {
			done, err = migrate.Export(ctx, migrate.ExportConfig{
				Source: source, Prefix: []byte(prefix), Limit: limit, Write: write, Progress: progress,
			}, w)
			return err
		})
		end()
		if _, ok := errors.AsType[*fs.PathError](problem); ok {
			return withHint(fmt.Errorf("export: %w", problem), "Name with --output a file in a folder that is there and may be written to, with room on its disk, or - for standard output.")
		}
		if problem != nil {
			return importHint(fmt.Errorf("export: %w", problem), "")
		}
		fmt.Fprintf(errOut, "futago: %s written, %s\n", counted(done.Records, "record"), counted(done.Bytes, "byte"))
		return notExported(errOut, done, skipUnfit)
	}
	return cmd
}

// notExported tells of the records that were not written, and is the error for them.
func notExported(w io.Writer, done *migrate.Exported, skipUnfit bool) error {
	if done.Unfit == 0 {
		return nil
	}
	why := "with a TAB, LF or NUL in key or value"
	if done.Damaged > 0 {
		why += fmt.Sprintf(", or damaged on the node's disk (%s)", grouped(done.Damaged))
	}
	tellKeys(w, counted(done.Unfit, "record")+" left out, "+why, done.Keys)
	switch {
	case done.Damaged > 0:
		return withHint(errors.New("export: records are damaged on the node's disk"), "A peer is asked for them: export from it, or later.")
	case !skipUnfit:
		return withHint(errors.New("export: not all records can be written as tab-separated values"), "Write JSON lines, or accept that with --skip-unfit.")
	}
	return nil
}

// writeTo calls write with a file that gets its name once it is complete and on the disk, or with stdout for -. What is no
// regular file, such as a pipe, is written as it is.
func writeTo(path string, stdout io.Writer, write func(w io.Writer) error) error {
	if path == "-" {
		return write(stdout)
	}
	if st, err := os.Stat(path); err == nil && !st.Mode().IsRegular() {
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(write(file), file.Close())
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	part := path + ".unfinished"
	file, err := os.Create(part)
	if err != nil {
		return err
	}
	defer os.Remove(part) // it is not there once it has its name
	if err := errors.Join(write(file), file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(part, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}
