package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/futago/futago/internal/backup"
	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/ulog"
	"github.com/futago/futago/internal/vfs"
	"github.com/spf13/cobra"
)

// maxRestoreAhead is how far records may be ahead of this machine's clock: a node would refuse writes.
const maxRestoreAhead = time.Minute

// restoreTask is what `futago restore` was asked for.
type restoreTask struct {
	data, until string
	node        int
	moment      time.Time // of until; zero: none
	stdin       io.Reader
	notes       io.Writer
}

func newRestoreCommand() *cobra.Command {
	r := &restoreTask{}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "restore FILE|DIR... --data NEWDIR",
		Short: "Make a new data folder of backups",
		Long: `Make a new data folder of a full backup and the incremental ones that follow it; a folder stands for the backups in
it, - for a full one on standard input. All are checked on the way, and the folder gets its name once it is whole.

With --until the state of a time is restored: of every key the newest write that is not later. It must not lie before
the end of the full backup, for that has only the newest state of each key.

When both nodes of a pair are lost, restore to both, with the --node of each, and start them. When one is lost an
empty folder is enough: it gets everything from the other one; a restored one catches up as well. To go back in
time with a pair, stop both nodes before: a node that kept its folder would bring the present back.

A point in time is written as 2026-01-02T15:04:05Z or as how long ago it was, 90m.`,
		Example: `  futago restore /backup --data /var/lib/futago
  futago restore /backup --data /var/lib/futago --until 2026-01-02T12:00:00Z --node 2
  ssh store cat futago.fbk | futago restore - --data /var/lib/futago`,
		Args: words(1, -1),
	}
	flags := cmd.Flags()
	flags.StringVarP(&r.data, "data", "D", "", "write the new data folder `NEWDIR`, which must not exist or be empty")
	flags.IntVar(&r.node, "node", 0, "the folder is for the node with this `ID` (default: the one that was backed up)")
	flags.StringVar(&r.until, "until", "", "restore the state at this `TIME` (default: all that there is)")
	flags.BoolVar(&asJSON, "json", false, "print the result as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := r.check(args); err != nil {
			return usageError{err}
		}
		r.stdin, r.notes = cmd.InOrStdin(), cmd.ErrOrStderr()
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		done, err := r.run(ctx, args)
		if err != nil {
			return backupProblem(fmt.Errorf("restore: %w", err))
		}
		if asJSON {
			err = writeJSON(cmd.OutOrStdout(), done)
		} else {
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s and %s for node %d as of %s, of %s; log %v\n", r.data, counted(done.Records, "record"),
				counted(done.Tombstones, "delete"), done.Node, stampTime(done.Time), counted(int64(done.Files), "backup"), done.Identity)
		}
		if err != nil {
			return fmt.Errorf("print result: %w", err)
		}
		return nil
	}
	return cmd
}

func (r *restoreTask) check(args []string) (err error) {
	switch {
	case r.data == "":
		return errors.New("--data is missing: name a folder that does not exist yet")
	case r.node < 0 || r.node > hlc.MaxNode:
		return fmt.Errorf("--node %d: allowed is 1 to %d", r.node, hlc.MaxNode)
	case r.until == "":
		return nil
	case args[0] == "-":
		return errors.New("--until: the backup must be a file, for its end is looked at first")
	}
	if r.moment, err = parseMoment(r.until, time.Now()); err != nil {
		return fmt.Errorf("--until %q: %w", r.until, err)
	}
	return nil
}

func (r *restoreTask) run(ctx context.Context, args []string) (done *backup.Restored, err error) {
	progress, end := progressBar(r.notes, "restoring", false)
	defer end()
	config := backup.RestoreConfig{Node: r.node, Until: r.moment}
	var total int64
	path := "-" // of what is being read
	if len(args) == 1 && args[0] == "-" {
		stream := r.stdin
		config.Open = func() (io.ReadCloser, error) {
			if stream == nil {
				return nil, nil
			}
			in := io.NopCloser(stream)
			stream = nil
			return in, nil
		}
	} else {
		chain, err := r.pick(args)
		if err != nil {
			return nil, err
		}
		for _, f := range chain {
			total += f.Records()
		}
		config.Open = func() (io.ReadCloser, error) {
			if len(chain) == 0 {
				return nil, nil
			}
			path, chain = chain[0].Path, chain[1:]
			return os.Open(path)
		}
	}
	if progress != nil {
		config.Progress = func(records int64) { progress(records, max(total, records)) }
	}
	err = ulog.NewFolder(r.data, func(fs vfs.FS) (bool, error) {
		config.To = fs
		done, err = backup.Restore(ctx, config)
		if errors.Is(err, backup.ErrDamaged) {
			err = fmt.Errorf("%s: %w", path, err)
		}
		return err == nil, err
	})
	if err != nil {
		return nil, err
	}
	return done, nil
}

// pick finds the backups to restore.
func (r *restoreTask) pick(args []string) ([]backup.File, error) {
	paths, err := backupPaths(args)
	if err != nil {
		return nil, err
	}
	var files []backup.File
	var problems []error
	for _, path := range paths {
		f, err := backup.OpenFile(path)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		files = append(files, f)
	}
	chain, err := backup.Chain(files, r.moment)
	if err != nil {
		return nil, errors.Join(append(problems, err)...)
	}
	for _, err := range problems {
		fmt.Fprintf(r.notes, "futago: left out: %s\n", err)
	}
	for _, f := range chain {
		if ahead := time.Until(f.Newest.Time()); ahead > maxRestoreAhead {
			return nil, fmt.Errorf("%s has writes of %s: this machine's clock is %v behind, set it first", f.Path, stampTime(f.Newest.Time()), ahead.Round(time.Second))
		}
	}
	return chain, nil
}
