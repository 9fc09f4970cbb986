package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/futago/futago/internal/backup"
	"github.com/spf13/cobra"
)

const (
	// holdInFolder is how long a node keeps its log for the next backup of a folder, unless --hold says otherwise.
	holdInFolder = 26 * time.Hour

	goneHint = "Make a full backup, by hand or with --full-if-needed. So that it does not happen again, make the next one sooner, or give a longer --hold and the node a larger --log-retain."
)

// backupTask is what `futago backup` was asked for.
type backupTask struct {
	output, since                           string
	sinceLast, fullIfNeeded, force, partial bool
	hold                                    time.Duration
	nodes                                   []*adminNode
	stdout, notes                           io.Writer
}

func newBackupCommand() *cobra.Command {
	b := &backupTask{}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "backup -o FILE|DIR|-",
		Short: "Copy all that a running node holds to a file, or what changed since",
		Long: `Copy all that a node holds to a file, while it runs: everything that it had acknowledged when the backup began is
in it, deletes, counters and expiry times included. The file is packed and checked on the way; it gets its name
once it is whole and on the disk, and replaces none that is there already without --force. In a folder, which
ends with / or is there already, the file gets a name of its own.

With --since or --since-last only what changed since an earlier backup is copied, from the log of the node: such a
file is restored together with those before it. Any node of the mesh goes on where another one ended; of several
--admin addresses the first one that can makes the backup; one that says nothing for 2s is left for the end. A node keeps its log for that as long as --hold says, up to
its --log-retain. When the log is not there any more, exit code 4 says so, and --full-if-needed makes a full backup.

Where the node has users, one with the rights read and admin, and all keys, must ask.`,
		Example: `  futago backup -o /backup/futago.fbk
  futago backup -o /backup/ --since-last --full-if-needed --admin 10.0.0.1:11280 --admin 10.0.0.2:11280
  futago backup -o - | ssh store 'cat > futago.fbk'
  futago backup verify /backup`,
		Args: noWordsBut("--output"),
	}
	config := newAdminConfig(cmd, time.Minute)
	flags := cmd.Flags()
	flags.StringVarP(&b.output, "output", "o", "", "write to this `FILE`, to a new one in a folder, or - to standard output")
	flags.StringVar(&b.since, "since", "", "copy only what changed since this earlier backup, a `FILE`")
	flags.BoolVar(&b.sinceLast, "since-last", false, "copy only what changed since the newest backup in the folder")
	flags.BoolVar(&b.fullIfNeeded, "full-if-needed", false, "make a full backup when there is none before it, or the log does not reach back to it")
	flags.DurationVar(&b.hold, "hold", 0, "have the node keep its log so long for the next backup (default 26h in a folder, otherwise 0)")
	flags.BoolVar(&b.force, "force", false, "replace FILE")
	flags.BoolVar(&b.partial, "partial", false, "keep the backup of a node whose disk has spoilt records; they are missing in it")
	flags.BoolVar(&asJSON, "json", false, "print the result as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var err error
		if b.nodes, err = config.load(cmd); err != nil {
			return err
		}
		if err := b.check(flags.Changed("hold")); err != nil {
			return usageError{err}
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		b.stdout, b.notes = cmd.OutOrStdout(), cmd.ErrOrStderr()
		done, err := b.run(ctx)
		if err != nil {
			return err
		}
		tell := b.stdout
		if b.output == "-" {
			tell = b.notes
		}
		if asJSON {
			err = writeJSON(tell, done)
		} else {
			_, err = fmt.Fprintln(tell, describeBackup(done))
		}
		if err != nil {
			return fmt.Errorf("print result: %w", err)
		}
		return nil
	}
	cmd.AddCommand(newBackupVerifyCommand())
	return cmd
}

// check completes what was asked for.
func (b *backupTask) check(held bool) error {
	folder := false
	switch {
	case b.output == "":
		return errors.New("--output is missing: name a file, a folder, or - for standard output")
	case b.output == "-":
	case strings.HasSuffix(b.output, string(filepath.Separator)):
		folder = true
	default:
		st, err := os.Stat(b.output)
		folder = err == nil && st.IsDir()
	}
	switch {
	case b.since != "" && b.sinceLast:
		return errors.New("--since and --since-last: allowed is one of them")
	case b.sinceLast && !folder:
		return fmt.Errorf("--since-last with --output %q: allowed with a folder, which is there or ends with /", b.output)
	case b.hold < 0 || b.hold > backup.MaxHold:
		return fmt.Errorf("--hold %v: allowed is 0s to %v", b.hold, backup.MaxHold)
	}
	if folder {
		b.output = filepath.Clean(b.output) + string(filepath.Separator)
		if !held {
			b.hold = holdInFolder
		}
	}
	return nil
}

func (b *backupTask) inFolder() bool { return strings.HasSuffix(b.output, string(filepath.Separator)) }

// run makes the backup at the first node that can.
func (b *backupTask) run(ctx context.Context) (*backup.File, error) {
	if b.inFolder() {
		if err := os.MkdirAll(b.output, 0o700); err != nil {
			return nil, fmt.Errorf("make folder: %w", err)
		}
	} else if b.output == "-" {
		if isTerminal(b.stdout) {
			return nil, usageError{errors.New("--output -: standard output is a terminal, send it to a program or file")}
		}
	} else if st, err := os.Lstat(b.output); err == nil && !st.Mode().IsRegular() {
		return nil, usageError{fmt.Errorf("--output %q: it is no file, and never replaced; - is standard output", b.output)}
	} else if err == nil && !b.force {
		return nil, errExists(b.output)
	}
	before, err := b.before()
	if err != nil {
		return nil, err
	}
	done, err := b.tryNodes(ctx, before)
	if _, gone := errors.AsType[goneError](err); !gone {
		return done, err
	}
	if !b.fullIfNeeded {
		return nil, withHint(damageFound{err}, goneHint)
	}
	fmt.Fprintf(b.notes, "futago: %s; a full backup is made\n", strings.Join(strings.Split(err.Error(), "\n"), "; "))
	return b.tryNodes(ctx, nil)
}

// before is the backup that the new one follows; nil is none.
func (b *backupTask) before() (*backup.File, error) {
	switch {
	case b.since != "":
		f, err := backup.OpenFile(b.since)
		if err != nil {
			return nil, backupProblem(fmt.Errorf("read the backup before: %w", err))
		}
		return &f, nil
	case b.sinceLast:
		list, err := backup.Folder(b.output)
		if err != nil {
			if list == nil {
				return nil, fmt.Errorf("read the backups before: %w", err)
			}
			fmt.Fprintf(b.notes, "futago: left out: %s\n", strings.Join(strings.Split(err.Error(), "\n"), "; "))
		}
		if n := len(list); n > 0 {
			return &list[n-1], nil
		}
		if !b.fullIfNeeded {
			return nil, usageError{fmt.Errorf("--since-last: there is no backup in %s; --full-if-needed makes the first one", b.output)}
		}
	}
	return nil, nil
}

// goneError says that no node has the log that an incremental backup needs.
type goneError struct{ error }

func (e goneError) Unwrap() error { return e.error }

// tryNodes goes from node to node until one has made the backup, or it fails for a reason that another node does not cure. Those that
// hang are waited for when there is no other one.
func (b *backupTask) tryNodes(ctx context.Context, before *backup.File) (*backup.File, error) {
	var problems []error
	gone := false
	queue := slices.Clone(b.nodes)
	for i := 0; i < len(queue); i++ {
		n := queue[i]
		done, err := b.fetch(ctx, n, before, i < len(b.nodes) && i+1 < len(queue))
		if err == nil || ctx.Err() != nil {
			return done, err
		}
		if errors.Is(err, errSilent) {
			nextAsked(b.notes, n.addr)
			queue = append(queue, n)
			continue
		}
		refusal, refused := errors.AsType[answerError](err)
		switch {
		case errors.As(err, new(outputError)) || errors.As(err, new(damageFound)):
			return nil, err
		case refused && (refusal.code == http.StatusBadRequest || refusal.code == http.StatusUnauthorized || refusal.code == http.StatusForbidden):
			return nil, withAdminHint(err)
		case refused && refusal.code == http.StatusGone:
			gone = true
		}
		problems = append(problems, err)
		if b.output == "-" && errors.As(err, new(cutError)) {
			break // what came is on its way already
		}
		if i+1 < len(queue) {
			fmt.Fprintf(b.notes, "futago: %s; the next node is asked\n", err)
		}
	}
	err := errors.Join(problems...)
	if gone {
		return nil, goneError{err}
	}
	return nil, withHint(err, adminHint)
}

func describeBackup(f *backup.File) string {
	name := ""
	if f.Path != "-" {
		name = f.Path + ": "
	}
	text := fmt.Sprintf("%s%s backup of node %d: %s, %s, %s packed to %s; everything acknowledged before %s", name, f.Kind, f.Node,
		counted(f.Values, "record"), counted(f.Tombstones, "delete"), roundSize(float64(f.Bytes)), roundSize(float64(f.Size)), stampTime(f.Time))
	if f.Damaged > 0 {
		text += "; records that the disk had spoilt are missing"
	}
	return text
}

// backupProblem sorts an error of a file by exit code and says what to do next.
func backupProblem(err error) error {
	switch {
	case errors.Is(err, backup.ErrVersion):
		return withHint(damageFound{err}, "Use the program that wrote it, or a newer one.")
	case errors.Is(err, backup.ErrDamaged) || errors.Is(err, backup.ErrNoBackup):
		return withHint(damageFound{err}, "Take another copy of the file, or another backup.")
	case errors.Is(err, backup.ErrChain):
		return withHint(damageFound{err}, "Name a full backup and all incremental ones behind it, or the folder that has them.")
	}
	return err
}
