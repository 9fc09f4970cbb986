package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/futago/futago/internal/tyrant"
)

var ttulmgrTool = tyrantTool{
	name:  "ttulmgr",
	words: "export|import [-option...] dir",
	short: "Turn an update log of Tokyo Tyrant into text and back",
	long: `Turn an update log of Tokyo Tyrant into text and back, as its ttulmgr does. A link named ttulmgr is the same.

export prints a line for each entry: its time in microseconds since 1970, a TAB, sid:mid of the servers where it
was born and from which it came, a TAB, the name of the command, a TAB, and the logged bytes in hexadecimal digits. -ts
begins at a time, or now; -sid leaves out what came from that server. import reads such lines from standard input into
a folder, which must exist; -lim is the size at which a file is full, with k, m or g behind it if you like.`,
	example: `  futago ttulmgr export /var/ttserver/ulog
  futago ttulmgr export -ts 1255860000000000 -sid 2 ulog >log.txt
  mkdir copy && futago ttulmgr import -lim 64m copy <log.txt`,
	run: runTtulmgr,
}

const (
	ttulmgrExport = "[-ts num] [-sid num] upath"
	ttulmgrImport = "[-lim num] upath"
	// maxEntryLine is the longest line of an import, in bytes: each byte of the payload takes three.
	maxEntryLine = 3*tyrant.DefaultMaxEntry + 100
)

func runTtulmgr(_ *cobra.Command, s streams, args []string) int {
	usage := func() int {
		fmt.Fprint(s.err, "ttulmgr: the command line utility of the update log\n\nusage:\n")
		fmt.Fprintf(s.err, "  ttulmgr export %s\n  ttulmgr import %s\n\n", ttulmgrExport, ttulmgrImport)
		return exitFailure
	}
	if len(args) == 0 {
		return usage()
	}
	var from, sid, limit int64
	options := map[string]dashOption{
		"-ts":  wordOption(func(w string) { from = tyrantTime(w) }),
		"-sid": wordOption(func(w string) { sid = leadingInt(w) }),
		"-lim": wordOption(func(w string) { limit = tyrantSize(w) }),
	}
	var run func(dir string) error
	switch args[0] {
	case "export":
		options = usageOptions(ttulmgrExport, options)
		run = func(dir string) error { return exportLog(s.out, dir, from, sid) }
	case "import":
		options = usageOptions(ttulmgrImport, options)
		run = func(dir string) error { return importLog(s.in, dir, limit) }
	default:
		return usage()
	}
	operands, ok := parseDashed(args[1:], options)
	if !ok || len(operands) != 1 {
		return usage()
	}
	if err := run(operands[0]); err != nil {
		fmt.Fprintf(s.err, "ttulmgr: %v\n", err)
		return exitFailure
	}
	return exitOK
}

// exportLog prints the entries of the log in dir.
func exportLog(w io.Writer, dir string, from, sid int64) error {
	log, err := tyrant.OpenLog(dir, from)
	if err != nil {
		return err
	}
	defer log.Close()
	out := bufio.NewWriter(w)
	for {
		var e tyrant.Entry
		err := log.Next(&e)
		if err == io.EOF {
			return out.Flush()
		}
		if err != nil {
			return errors.Join(err, out.Flush())
		}
		if sid > 0 && (int64(e.SID) == sid || int64(e.MID) == sid) {
			continue
		}
		out.Write(entryLine(&e))
	}
}

// importLog appends the entries that in has as text to the log in dir.
func importLog(in io.Reader, dir string, limit int64) (err error) {
	log, err := tyrant.OpenLogWriter(dir, limit)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	r := bufio.NewReader(in)
	for n := 1; ; n++ {
		line, err := readLine(r, maxEntryLine)
		if err == io.EOF {
			return nil
		}
		var e tyrant.Entry
		if err == nil {
			e, err = parseEntryLine(line)
		}
		if err == nil {
			err = log.Append(&e)
		}
		if err != nil {
			return fmt.Errorf("import line %d: %w", n, err)
		}
	}
}

// parseEntryLine reads what entryLine writes. The name of the command is not looked at: the payload has it.
func parseEntryLine(line []byte) (e tyrant.Entry, err error) {
	fields := bytes.SplitN(bytes.TrimRight(line, "\r"), []byte{'\t'}, 4)
	if len(fields) < 4 {
		return e, fmt.Errorf("%d fields, want 4 with TABs between", len(fields))
	}
	if e.Time, err = strconv.ParseInt(string(fields[0]), 10, 64); err != nil || e.Time < 0 {
		return e, fmt.Errorf("time %.30q, want microseconds since 1970", fields[0])
	}
	sid, mid, _ := bytes.Cut(fields[1], []byte{':'})
	for _, id := range []struct {
		text []byte
		to   *uint16
	}{{sid, &e.SID}, {mid, &e.MID}} {
		n, err := strconv.ParseUint(string(id.text), 10, 16)
		if err != nil {
			return e, fmt.Errorf("ids %.30q, want sid:mid, each 0 to 65535", fields[1])
		}
		*id.to = uint16(n)
	}
	if e.Payload, err = unhex(fields[3]); err != nil {
		return e, err
	}
	if _, err := tyrant.DecodePayload(e.Payload, new(tyrant.Request)); err != nil {
		return e, err
	}
	return e, nil
}
