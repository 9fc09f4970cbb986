package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/futago/futago/internal/backup"
)

// cutError is an error that came when a part of the backup was there already.
type cutError struct{ error }

func (e cutError) Unwrap() error { return e.error }

// fetch has a node make the backup and keeps it once it is whole. others says that another node may be asked.
func (b *backupTask) fetch(ctx context.Context, n *adminNode, before *backup.File, others bool) (*backup.File, error) {
	ctx, heard := breakSilence(ctx, b.notes, n.addr, others)
	defer heard()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(n.timeout, func() { cancel(fmt.Errorf("it said nothing for %v", n.timeout)) })
	defer silence.Stop()
	explain := func(err error) error {
		if cause, ok := errors.AsType[*url.Error](err); ok {
			err = cause.Err // without the URL
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("back up %s: %w", n.addr, err)
	}
	query := url.Values{"hold": {b.hold.String()}}
	if before != nil {
		query.Set("from", before.Position)
		query.Set("parent", before.ID.String())
	}
	request, err := n.question(ctx, http.MethodPost, "/backup?"+query.Encode(), nil)
	if err != nil {
		return nil, explain(err)
	}
	request.Header.Set("Futago-Admin", "1")
	response, err := n.client.Do(request)
	if err != nil {
		return nil, explain(err)
	}
	heard()
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, explain(n.refusal(ctx, response))
	}
	done, err := b.receive(&alive{response.Body, func() { silence.Reset(n.timeout) }})
	switch {
	case errors.As(err, new(outputError)):
		return nil, fmt.Errorf("write the backup: %w", err)
	case errors.Is(err, backup.ErrDamaged) || errors.Is(err, io.ErrUnexpectedEOF):
		return nil, cutError{explain(errors.New("it ended in the middle"))}
	case err != nil:
		if _, damaged := errors.AsType[damageFound](err); damaged {
			return nil, explain(err)
		}
		return nil, cutError{explain(err)}
	}
	return done, nil
}

// alive tells of every piece that comes.
type alive struct {
	r    io.Reader
	told func()
}

func (a *alive) Read(p []byte) (int, error) {
	n, err := a.r.Read(p)
	a.told()
	return n, err
}

// receive writes a backup that comes and checks it on the way.
func (b *backupTask) receive(in io.Reader) (_ *backup.File, err error) {
	progress, end := progressBar(b.notes, "backing up", false)
	defer end()
	var file *newFile
	sink := &sink{w: b.stdout}
	if b.output != "-" {
		dir := b.output
		if !b.inFolder() {
			dir = filepath.Dir(b.output)
		}
		if file, err = createFile(dir); err != nil {
			return nil, outputError{err}
		}
		defer file.abandon()
		sink.w = file.f
	}
	r, err := backup.NewReader(io.TeeReader(in, sink))
	if err != nil {
		return nil, sink.cause(err)
	}
	defer r.Close()
	header := r.Header()
	err = r.Each(func(records int64) {
		if progress != nil {
			progress(records, max(header.Expected, records))
		}
	}, nil)
	if err != nil {
		return nil, sink.cause(err)
	}
	done := &backup.File{Path: b.output, Size: sink.n, Info: backup.Info{Header: header, Trailer: *r.Trailer()}}
	if done.Damaged > 0 && !b.partial {
		return nil, withHint(damageFound{fmt.Errorf("its disk has spoilt records of %d of 1024 parts of the keys", done.Damaged)},
			"Take the backup of another node, or what there is with --partial.")
	}
	if file == nil {
		return done, nil
	}
	if b.inFolder() {
		done.Path = filepath.Join(b.output, header.Name())
	}
	if err := file.keep(done.Path, b.force); err != nil {
		return nil, outputError{err}
	}
	return done, nil
}

// sink remembers what went wrong with the output.
type sink struct {
	w   io.Writer
	n   int64
	err error
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.n, s.err = s.n+int64(n), err
	return n, err
}

// cause tells an error of the output from one of what comes in.
func (s *sink) cause(err error) error {
	if s.err != nil {
		return outputError{s.err}
	}
	return err
}

// newFile is a file that has no name yet which anybody looks for.
type newFile struct {
	f *os.File
}

func createFile(dir string) (*newFile, error) {
	f, err := os.CreateTemp(dir, ".futago-backup.unfinished-*")
	return &newFile{f}, err
}

// abandon removes the file unless it was kept.
func (n *newFile) abandon() {
	n.f.Close()
	os.Remove(n.f.Name()) // kept: it is not there
}

func errExists(path string) error {
	return withHint(fmt.Errorf("%s is there already", path), "Name another file, or replace it with --force.")
}

// keep makes the file durable under its name; only with replace in the place of another one.
func (n *newFile) keep(path string, replace bool) error {
	if err := errors.Join(n.f.Sync(), n.f.Close()); err != nil {
		return err
	}
	if replace {
		if err := os.Rename(n.f.Name(), path); err != nil {
			return err
		}
		return syncFolder(filepath.Dir(path))
	}
	// A link never replaces anything. Not every file system has them.
	err := os.Link(n.f.Name(), path)
	if errors.Is(err, os.ErrExist) {
		return errExists(path)
	}
	if err != nil {
		if _, err := os.Lstat(path); err == nil {
			return errExists(path)
		}
		if err := os.Rename(n.f.Name(), path); err != nil {
			return err
		}
	} else if err := os.Remove(n.f.Name()); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
