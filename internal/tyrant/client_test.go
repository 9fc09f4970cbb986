package tyrant

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// calls are all methods that ask, with what goes over the wire.
var calls = []struct {
	command Command
	call    func(c *Client) (any, error)
	request string // "": that of goldenRequests
	reply   string
	want    string // of the result
	failure string // a reply
	code    Code   // of the failure
}{
	{Put, func(c *Client) (any, error) { return nil, c.Put(k, v) }, "", "00", "<nil>", "01", CodeMisc},
	{PutKeep, func(c *Client) (any, error) { return nil, c.PutKeep(k, v) }, "", "00", "<nil>", "01", CodeKeep},
	{PutCat, func(c *Client) (any, error) { return nil, c.PutCat(k, v) }, "", "00", "<nil>", "01", CodeMisc},
	{PutShl, func(c *Client) (any, error) { return nil, c.PutShl(k, v, 258) }, "", "00", "<nil>", "01", CodeMisc},
	{PutNR, func(c *Client) (any, error) { return nil, errors.Join(c.PutNR(k, v), c.Flush()) }, "", "", "<nil>", "", CodeSuccess},
	{Out, func(c *Client) (any, error) { return nil, c.Out(k) }, "", "00", "<nil>", "01", CodeNoRecord},
	{Get, func(c *Client) (any, error) { return c.Get(k) }, "", "00 00000005 'value'", `"value"`, "01", CodeNoRecord},
	{MGet, func(c *Client) (any, error) { return c.MGet(list("key", "", "k")) }, "", "00 00000002 00000003 00000005 'keyvalue' 00000000 00000001 'v'", `[{"key" "value"} {"" "v"}]`, "01 00000000", CodeMisc},
	{VSiz, func(c *Client) (any, error) { return c.VSiz(k) }, "", "00 00000102", `'Ă'`, "01", CodeNoRecord},
	{IterInit, func(c *Client) (any, error) { return nil, c.IterInit() }, "", "00", "<nil>", "01", CodeMisc},
	{IterNext, func(c *Client) (any, error) { return c.IterNext() }, "", "00 00000000", `""`, "01", CodeNoRecord},
	{FwmKeys, func(c *Client) (any, error) { return c.FwmKeys(k, -1) }, "", "00 00000002 00000003 'key' 00000000", `["key" ""]`, "01 00000000", CodeMisc},
	{AddInt, func(c *Client) (any, error) { return c.AddInt(k, -2) }, "", "00 FFFFFFFE", `-2`, "01", CodeKeep},
	{AddDouble, func(c *Client) (any, error) { return c.AddDouble(k, -1.75) }, "", "00 0000000000000000 FFFFFF5160843400", "-0.75", "01", CodeKeep},
	{Ext, func(c *Client) (any, error) { return c.Ext("func", ExtLockGlobal, k, v) }, "", "00 00000002 'ok'", `"ok"`, "01", CodeMisc},
	{Sync, func(c *Client) (any, error) { return nil, c.Sync() }, "", "00", "<nil>", "01", CodeMisc},
	{Optimize, func(c *Client) (any, error) { return nil, c.Optimize("bnum=1") }, "", "00", "<nil>", "01", CodeMisc},
	{Vanish, func(c *Client) (any, error) { return nil, c.Vanish() }, "", "00", "<nil>", "01", CodeMisc},
	{Copy, func(c *Client) (any, error) { return nil, c.Copy("/x.tch") }, "", "00", "<nil>", "01", CodeMisc},
	{Restore, func(c *Client) (any, error) { return nil, c.Restore("/log", 1<<40, CheckResults) }, "", "00", "<nil>", "01", CodeMisc},
	{SetMst, func(c *Client) (any, error) { return nil, c.SetMst("host", 1978, 5, 0) }, "", "00", "<nil>", "01", CodeMisc},
	{RNum, func(c *Client) (any, error) { return c.RNum() }, "", "00 0000000000000041", `'A'`, "01 0000000000000000", CodeMisc},
	{Size, func(c *Client) (any, error) { return c.Size() }, "", "00 0000000000000042", `'B'`, "01 0000000000000000", CodeMisc},
	{Stat, func(c *Client) (any, error) { return c.Stat() }, "", "00 00000004 61 09 62 0A", `"a\tb\n"`, "01 00000000", CodeMisc},
	{Misc, func(c *Client) (any, error) { return c.Misc("putlist", MiscNoLog, list("key", "value")...) }, "", "00 00000001 00000001 'e'", `["e"]`, "01 00000000", CodeMisc},
	{Repl, func(c *Client) (any, error) { s, err := c.Repl(1, 2); return s != nil && s.SID == 3, err }, "", "00000003", "%!q(bool=true)", "00000000", CodeMisc},
}

func show(v any) string {
	switch v := v.(type) {
	case nil:
		return "<nil>"
	case float64, int32:
		return fmt.Sprint(v)
	}
	return fmt.Sprintf("%q", v)
}

func TestClientCalls(t *testing.T) {
	for i, tt := range calls {
		if tt.command != goldenRequests[i].request.Command {
			t.Fatalf("call %d is %v, want %v", i, tt.command, goldenRequests[i].request.Command)
		}
		request, reply := bytesOf(t, goldenRequests[i].wire), bytesOf(t, tt.reply)
		got, err := tt.call(scripted(t, ClientConfig{}, request, reply))
		if err != nil || show(got) != tt.want {
			t.Errorf("%v: got %s, %v, want %s", tt.command, show(got), err, tt.want)
		}
		for n := range reply {
			_, err := tt.call(scripted(t, ClientConfig{}, request, reply[:n]))
			if CodeOf(err) != CodeRecv || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%v with a reply cut at %d: got %v, want a recv error", tt.command, n, err)
			}
		}
		if tt.failure == "" {
			continue
		}
		c := scripted(t, ClientConfig{}, request, bytesOf(t, tt.failure))
		if _, err := tt.call(c); CodeOf(err) != tt.code {
			t.Errorf("%v refused: got %v, want %v", tt.command, err, tt.code)
		}
		if c.lost != nil && tt.command != Repl {
			t.Errorf("%v refused: the connection is lost: %v", tt.command, c.lost)
		}
	}
}

// What a reply says of its size is looked at before memory is taken for it.
func TestClientBoundsReplies(t *testing.T) {
	for _, tt := range []struct {
		command Command
		reply   string
	}{
		{Get, "00 00000065"}, {Get, "00 FFFFFFFF"}, {IterNext, "00 FFFFFFFF"}, {Ext, "00 80000000"}, {Stat, "00 00000065"},
		{MGet, "00 00000001 00000020 00000021"}, {MGet, "00 00000001 FFFFFFFF FFFFFFFF"},
		{MGet, "00 FFFFFFFF 00000000 00000000 00000000 00000000 00000000 00000000"},
		{FwmKeys, "00 00000002 00000001 'k' 00000038"},
		{FwmKeys, "00 00000005 00000000 00000000 00000000 00000000 00000000"},
		{Misc, "00 00000001 FFFFFFFF"},
	} {
		i := slices.IndexFunc(goldenRequests, func(g struct {
			request Request
			wire    string
		}) bool {
			return g.request.Command == tt.command
		})
		c := scripted(t, ClientConfig{MaxReply: 100}, bytesOf(t, goldenRequests[i].wire), bytesOf(t, tt.reply))
		if _, err := calls[i].call(c); CodeOf(err) != CodeRecv || !strings.Contains(err.Error(), "more than 100 bytes") {
			t.Errorf("%v answered with %s: got %v, want that it is too large", tt.command, tt.reply, err)
		}
		if err := c.Put(k, v); CodeOf(err) != CodeInvalid {
			t.Errorf("%v: put afterwards: got %v, want an invalid operation", tt.command, err)
		}
	}
}

// Memory for a large value is taken as it arrives.
func TestClientTakesNoMemoryInAdvance(t *testing.T) {
	c := NewClient(readConn{bytes.NewReader(bytesOf(t, "00 1FFFFFFF 'value'"))}, ClientConfig{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := c.Get(k)
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; CodeOf(err) != CodeRecv || got > 4*clientChunk {
		t.Errorf("get a value of which little arrives: %v, with %d bytes of memory", err, got)
	}
}

// readConn is a connection that only has something to read.
type readConn struct{ r io.Reader }

func (c readConn) Read(b []byte) (int, error)       { return c.r.Read(b) }
func (c readConn) Write(b []byte) (int, error)      { return len(b), nil }
func (c readConn) Close() error                     { return nil }
func (c readConn) LocalAddr() net.Addr              { return nil }
func (c readConn) RemoteAddr() net.Addr             { return nil }
func (c readConn) SetDeadline(time.Time) error      { return nil }
func (c readConn) SetReadDeadline(time.Time) error  { return nil }
func (c readConn) SetWriteDeadline(time.Time) error { return nil }

// What a server would close the connection for is not sent.
func TestClientDoesNotSend(t *testing.T) {
	c := scripted(t, ClientConfig{}, bytesOf(t, "C8 80"), bytesOf(t, "00 0000000000000001"))
	_, ext := c.Ext(strings.Repeat("n", maxName+1), 0, nil, nil)
	_, mget := c.MGet(make([][]byte, maxList+1))
	_, repl := c.Repl(0, 1)
	_, self := c.Repl(1, 0)
	for i, err := range []error{ext, mget, repl, self, c.PutShl(k, v, -1), c.SetMst("h", -1, 0, 0)} {
		if CodeOf(err) != CodeInvalid {
			t.Errorf("call %d: got %v, want an invalid operation", i, err)
		}
	}
	if n, err := c.RNum(); n != 1 || err != nil {
		t.Errorf("rnum afterwards: got %d, %v", n, err)
	}
}

func TestClient(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		f := &fake{records: map[string]string{}}
		c := dial(t, f.listen(t, network))
		// A reply says that the puts before it were done.
		for i := range 2000 {
			if err := c.PutNR(fmt.Appendf(nil, "nr%04d", i), fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := c.RNum(); n != 2000 || err != nil {
			t.Fatalf("%s: rnum after putnr: got %d, %v", network, n, err)
		}
		large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		if err := c.Put(k, large); err != nil {
			t.Fatal(err)
		}
		if got, err := c.Get(k); err != nil || !bytes.Equal(got, large) {
			t.Fatalf("%s: get a large value: %d bytes, %v", network, len(got), err)
		}
		if err := c.PutCat(k, v); err != nil {
			t.Fatal(err)
		}
		if n, err := c.VSiz(k); int(n) != len(large)+5 || err != nil {
			t.Errorf("%s: vsiz: got %d, %v", network, n, err)
		}
		if err := c.PutKeep(k, v); !errors.Is(err, CodeKeep) {
			t.Errorf("%s: putkeep: got %v", network, err)
		}
		records, err := c.MGet(list("nr0007", "none", "nr1999", "nr0007"))
		if got := fmt.Sprintf("%q", records); got != `[{"nr0007" "7"} {"nr1999" "1999"} {"nr0007" "7"}]` || err != nil {
			t.Errorf("%s: mget: got %s, %v", network, got, err)
		}
		keys, err := c.FwmKeys([]byte("nr000"), -1)
		if len(keys) != 10 || string(keys[9]) != "nr0009" || err != nil {
			t.Errorf("%s: fwmkeys: got %q, %v", network, keys, err)
		}
		if got := iterate(t, c); got != 2001 {
			t.Errorf("%s: iterate: got %d keys", network, got)
		}
		if err := errors.Join(c.Out(k), c.Vanish()); err != nil {
			t.Error(err)
		}
		if err := c.Out(k); err == nil || err.Error() != "out: no record found" {
			t.Errorf("%s: out: got %v", network, err)
		}
	}
}

func iterate(t *testing.T, c *Client) (n int) {
	t.Helper()
	if err := c.IterInit(); err != nil {
		t.Fatal(err)
	}
	for ; ; n++ {
		if _, err := c.IterNext(); errors.Is(err, CodeNoRecord) {
			return n
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func dial(t *testing.T, address string) *Client {
	t.Helper()
	c, err := Dial(t.Context(), address, ClientConfig{Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestDialErrors(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := l.Addr().String()
	l.Close()
	ended, end := context.WithCancel(t.Context())
	end()
	for _, tt := range []struct {
		ctx     context.Context
		address string
		want    Code
	}{
		{t.Context(), "nonsense", CodeInvalid},
		{t.Context(), refused, CodeRefused},
		{t.Context(), "unix:" + t.TempDir() + "/none", CodeRefused},
		{ended, refused, CodeRefused},
	} {
		c, err := Dial(tt.ctx, tt.address, ClientConfig{})
		if c != nil || CodeOf(err) != tt.want {
			t.Errorf("dial %s: got %v, want %v", tt.address, err, tt.want)
		}
	}
}

func TestClientTimeout(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	c := NewClient(ours, ClientConfig{Timeout: time.Millisecond})
	defer c.Close()
	if err := c.Put(k, v); CodeOf(err) != CodeSend || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("put to a server that does not read: got %v", err)
	}
	go io.Copy(io.Discard, theirs)
	c = NewClient(ours, ClientConfig{})
	ours.SetDeadline(time.Time{})
	if err := errors.Join(c.PutNR(k, v), c.Flush()); err != nil {
		t.Fatal(err)
	}
	c.timeout = time.Millisecond
	if _, err := c.readStatus(); CodeOf(err) != CodeRecv || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("put to a server that does not answer: got %v", err)
	}
	if err := c.Put(k, v); CodeOf(err) != CodeInvalid {
		t.Errorf("put afterwards: got %v", err)
	}
	if err := c.Flush(); CodeOf(err) != CodeInvalid {
		t.Errorf("flush afterwards: got %v", err)
	}
}

// FuzzReply answers every call with arbitrary bytes: the client must come to an end.
func FuzzReply(f *testing.F) {
	for _, tt := range calls {
		f.Add(bytesOf(f, tt.reply))
		f.Add(bytesOf(f, tt.failure))
	}
	f.Fuzz(func(t *testing.T, reply []byte) {
		for _, tt := range calls {
			c := NewClient(readConn{bytes.NewReader(reply)}, ClientConfig{MaxReply: 1 << 20})
			_, err := tt.call(c)
			if code := CodeOf(err); err != nil && code != CodeRecv && code != tt.command.refusal() {
				t.Fatalf("%v answered with %x: %v", tt.command, reply, err)
			}
			s := LogStream{c: c}
			for c.lost = errStreaming; c.lost == errStreaming; {
				var e Entry
				s.Next(&e)
			}
		}
	})
}
