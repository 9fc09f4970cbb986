package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/futago/futago/internal/backup"
	"github.com/spf13/cobra"
)

func newBackupVerifyCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify FILE|DIR...",
		Short: "Read backups to their end and check every byte",
		Long: `Read backups to their end and check every byte, and that before each incremental one the one that it follows is
among them. A folder stands for the backups in it, - for standard input. Exit code 4: one is damaged, or the one
before it is missing.`,
		Example: `  futago backup verify /backup
  ssh store cat futago.fbk | futago backup verify -`,
		Args: words(1, -1),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line for each backup")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		paths, err := backupPaths(args)
		if err != nil {
			return err
		}
		v := backupVerifier{asJSON: asJSON, stdin: cmd.InOrStdin(), out: cmd.OutOrStdout(), notes: cmd.ErrOrStderr(), ids: map[backup.ID]bool{}}
		for _, path := range paths {
			if err := v.verify(path); err != nil {
				return fmt.Errorf("print result: %w", err)
			}
		}
		for _, f := range v.whole {
			if f.Kind == backup.Incremental && !v.ids[f.Parent] {
				v.problems = append(v.problems, fmt.Errorf("%s: %w: the one before it, %v, is not among these", f.Path, backup.ErrChain, f.Parent))
			}
		}
		return backupProblem(errors.Join(v.problems...))
	}
	return cmd
}

// backupPaths replaces folders by the backups in them, damaged ones included.
func backupPaths(args []string) (paths []string, err error) {
	for _, arg := range args {
		st, err := os.Stat(arg)
		switch {
		case arg == "-":
			paths = append(paths, arg)
		case err != nil:
			return nil, fmt.Errorf("open backup: %w", err)
		case !st.IsDir():
			paths = append(paths, arg)
		default:
			entries, err := os.ReadDir(arg)
			if err != nil {
				return nil, fmt.Errorf("open folder of backups: %w", err)
			}
			n := len(paths)
			for _, e := range entries {
				if e.Type().IsRegular() && strings.HasSuffix(e.Name(), backup.Suffix) {
					paths = append(paths, strings.TrimSuffix(arg, "/")+"/"+e.Name())
				}
			}
			if len(paths) == n {
				return nil, fmt.Errorf("open folder of backups: there is none in %s", arg)
			}
		}
	}
	return paths, nil
}

type backupVerifier struct {
	asJSON     bool
	stdin      io.Reader
	out, notes io.Writer
	whole      []backup.File
	ids        map[backup.ID]bool
	problems   []error
}

// verify checks one backup. The error is one of printing.
func (v *backupVerifier) verify(path string) error {
	f, err := v.read(path)
	if err != nil {
		v.problems = append(v.problems, fmt.Errorf("%s: %w", path, err))
		return nil
	}
	v.whole = append(v.whole, f)
	v.ids[f.ID] = true
	if v.asJSON {
		return writeJSONLine(v.out, &f)
	}
	_, err = fmt.Fprintf(v.out, "%s: good: %s backup of node %d, began %s: %s, %s; everything acknowledged before %s\n", path, f.Kind, f.Node,
		f.Began.UTC().Format(time.RFC3339), counted(f.Values, "record"), counted(f.Tombstones, "delete"), stampTime(f.Time))
	return err
}

func (v *backupVerifier) read(path string) (backup.File, error) {
	f := backup.File{Path: path}
	in := v.stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return f, err
		}
		defer file.Close()
		if st, err := file.Stat(); err == nil {
			f.Size = st.Size()
		}
		in = file
	}
	progress, end := progressBar(v.notes, "verifying", true)
	defer end()
	counted := &sink{w: io.Discard}
	var told func(int64)
	if progress != nil && f.Size > 0 {
		told = func(int64) { progress(counted.n, f.Size) }
	}
	var err error
	f.Info, err = backup.Verify(io.TeeReader(in, counted), told)
	f.Size = counted.n
	return f, err
}
