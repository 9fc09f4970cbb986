package main

import (
	"github.com/futago/futago/internal/migrate"
	"github.com/spf13/cobra"
)

func newImportJSONCommand() *cobra.Command {
	return newImportFileCommand(&cobra.Command{
		Use:   "jsonl FILE|-",
		Short: "Store the records of a file of JSON lines",
		Long: `Store the records of a file with a JSON object on each line, as 'futago export' writes it:

  {"key":"user:7","flags":1,"type":"text/plain","expires":1798903445000,"value":"Ann"}

key and value are text, or base64 in key_base64 and value_base64; a value may be a number. flags, type (the HTTP
Content-Type) and expires (Unix milliseconds, or a time as in RFC 3339) may be left out. Lines of 'futago watch' are such
lines; those that tell of other changes than a set are skipped. With - the lines come from standard input.

What cannot be stored is counted and named, and makes the exit code 1. With --state FILE the command may be ended in any way
and be run again with the same file: it goes on where it was, at most a second before.`,
		Example: `  futago import jsonl records.jsonl
  zstd -dc records.jsonl.zst | futago import jsonl - --addr 10.0.0.1:11211 --state import.state
  futago import jsonl records.jsonl --prefix user: --keep --rate 5000
  futago import jsonl records.jsonl --dry-run`,
	}, migrate.JSONLines)
}

func newImportTSVCommand() *cobra.Command {
	return newImportFileCommand(&cobra.Command{
		Use:   "tsv FILE|-",
		Short: "Store the records of a file of tab-separated values",
		Long: `Store the records of a file with a line for each: key, TAB, value, LF, as 'futago export --format tsv' writes it and
'tcrmgr importtsv' reads it. The key ends at the first TAB; lines without one are skipped and counted. With -
the lines come from standard input.

With --state FILE the command may be ended in any way and be run again with the same file: it goes on where it was, at
most a second before.`,
		Example: `  futago import tsv records.tsv
  tcrmgr list -pv 10.0.0.9 | futago import tsv - --addr 10.0.0.1:11211`,
	}, migrate.TSVLines)
}
