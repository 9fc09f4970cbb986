package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/futago/futago/internal/tyrant"
)

const (
	// maxTSVLine is the longest line of importtsv, in bytes.
	maxTSVLine = 512 << 20
	// dotRecords and lineRecords are after how many records importtsv prints a dot, and ends a line of dots.
	dotRecords  = 100
	lineRecords = 5000
)

// importTSV stores a record for each line with a TAB, of the named file or of standard input.
func (t *tcrmgr) importTSV() error {
	in := t.in
	if path := t.operand(1); path != "" {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	store := t.client.Put
	if t.noReply {
		store = t.client.PutNR
	}
	n := 0
	for r := bufio.NewReader(in); ; {
		line, err := readLine(r, maxTSVLine)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		key, value, ok := bytes.Cut(line, []byte{'\t'})
		if !ok {
			continue
		}
		if t.lower {
			lowerASCII(key)
		}
		if err := store(key, value); err != nil {
			return err
		}
		if n > 0 && n%dotRecords == 0 {
			t.out.WriteByte('.')
			if n%lineRecords == 0 {
				fmt.Fprintf(t.out, " (%08d)\n", n)
			}
			t.out.Flush()
		}
		n++
	}
	// What has no reply has arrived when something behind it has one.
	if t.noReply {
		if _, err := t.client.RNum(); err != nil {
			return err
		}
	}
	fmt.Fprintf(t.out, " (%08d)\n", n)
	return nil
}

func lowerASCII(b []byte) {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
}

// repl prints the update log of the server as it grows, until it is stopped or the connection is lost.
func (t *tcrmgr) repl() error {
	stream, err := t.client.Repl(max(t.time, 1), uint32(max(t.sid, 0)))
	if err != nil {
		return err
	}
	var buf []byte
	for {
		var e tyrant.Entry
		if err := stream.Next(&e); err != nil {
			return err
		}
		if e.Payload == nil {
			continue
		}
		e.MID = uint16(stream.SID)
		if t.readable {
			buf = append(buf[:0], entryLine(&e)...)
		} else {
			buf = tyrant.AppendEntry(buf[:0], &e)
		}
		t.out.Write(buf)
		if err := t.out.Flush(); err != nil {
			return err
		}
	}
}

// http prints what an address of the web answers to GET, whatever its status is.
func (t *tcrmgr) http() error {
	req, err := http.NewRequestWithContext(t.ctx, http.MethodGet, t.operand(0), nil)
	if err != nil {
		return err
	}
	for _, h := range t.headers {
		if strings.EqualFold(h[0], "Host") {
			req.Host = h[1]
			continue
		}
		req.Header.Add(h[0], h[1])
	}
	client := http.Client{
		Transport:     &http.Transport{DisableCompression: true, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if t.showHeaders {
		fmt.Fprintf(t.out, "STATUS: %s %s\n", resp.Proto, resp.Status)
		for _, name := range slices.Sorted(maps.Keys(resp.Header)) {
			fmt.Fprintf(t.out, "%s: %s\n", strings.ToLower(name), strings.Join(resp.Header[name], ", "))
		}
		t.out.WriteByte('\n')
	}
	if _, err := io.Copy(t.out, resp.Body); err != nil {
		return errors.Join(fmt.Errorf("read the body of %s: %w", req.URL, err), t.out.Flush())
	}
	return nil
}
