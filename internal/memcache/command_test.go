package memcache

import (
	"strings"
	"testing"
)

var (
	key250 = strings.Repeat("k", 250)
	key251 = strings.Repeat("k", 251)
)

const (
	errError     = `error reply="ERROR\r\n"`
	errFormat    = `error reply="CLIENT_ERROR bad command line format\r\n"`
	errChunk     = `error reply="CLIENT_ERROR bad data chunk\r\n"`
	errExptime   = `error reply="CLIENT_ERROR invalid exptime argument\r\n"`
	errDelta     = `error reply="CLIENT_ERROR invalid numeric delta argument\r\n"`
	errUsage     = `error reply="CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n"`
	errTooLarge  = `reply="SERVER_ERROR object too large for cache\r\n"`
	errNoreply   = `error noreply`
	errHangUp    = `error close`
	bareVersion  = "version\r\n"
	tooLargeData = "123456789012345678901\r\n"
)

// commandCases are complete inputs and the requests in them; the largest value is 20 bytes.
var commandCases = []struct {
	input string
	want  []string
}{
	// get and gets
	{"get a\r\n", []string{`get "a"`}},
	{"gets a\r\n", []string{`gets "a"`}},
	{"get a b a\r\n", []string{`get "a" "b" "a"`}},
	{"  get   a   b  \r\n", []string{`get "a" "b"`}},
	{"get a\n", []string{`get "a"`}},
	{"get a\r\r\n", []string{`get "a\r"`}},
	{"get a\tb \xc3\xa9\x00\x7f\r\n", []string{`get "a\tb" "é\x00\x7f"`}},
	{"get noreply\r\n", []string{`get "noreply"`}},
	{"get / HTTP/1.1\r\n", []string{`get "/" "HTTP/1.1"`}},
	{"get " + key250 + "\r\n", []string{`get "` + key250 + `"`}},
	{"get " + key251 + "\r\n", []string{errFormat}},
	{"get a " + key251 + " b\r\n", []string{errFormat}},
	{"gets a b " + key251 + "\r\n", []string{errFormat}},
	{"get\r\n", []string{errError}},
	{"get \r\n", []string{errError}},
	{"gets\r\n", []string{errError}},

	// gat and gats
	{"gat 10 a\r\n", []string{`gat "a" exptime=10`}},
	{"gats -1 a b\r\n", []string{`gats "a" "b" exptime=-1`}},
	{"gat 10\r\n", []string{`gat exptime=10`}},
	{"gat  0  a \r\n", []string{`gat "a"`}},
	{"gat\r\n", []string{errError}},
	{"gats\r\n", []string{errError}},
	{"gat x a\r\n", []string{errExptime}},
	{"gats 1.5 a\r\n", []string{errExptime}},
	{"gat x " + key251 + "\r\n", []string{errExptime}},
	{"gat 0 a " + key251 + "\r\n", []string{errFormat}},

	// storage commands
	{"set a 1 2 3\r\nabc\r\n", []string{`set key="a" value="abc" flags=1 exptime=2`}},
	{"add a 1 2 3\r\nabc\r\n", []string{`add key="a" value="abc" flags=1 exptime=2`}},
	{"replace a 1 2 3\r\nabc\r\n", []string{`replace key="a" value="abc" flags=1 exptime=2`}},
	{"append a 1 2 3\r\nabc\r\n", []string{`append key="a" value="abc" flags=1 exptime=2`}},
	{"prepend a 1 2 3\r\nabc\r\n", []string{`prepend key="a" value="abc" flags=1 exptime=2`}},
	{"cas a 1 2 3 4\r\nabc\r\n", []string{`cas key="a" value="abc" flags=1 exptime=2 cas=4`}},
	{"cas a 1 2 3 18446744073709551615 noreply\r\nabc\r\n", []string{`cas key="a" value="abc" flags=1 exptime=2 cas=18446744073709551615 noreply`}},
	{"set a 0 0 3 noreply\r\nabc\r\n", []string{`set key="a" value="abc" noreply`}},
	{"set a 0 0 3 noreply \r\nabc\r\n", []string{`set key="a" value="abc" noreply`}},
	{"set a 0 0 3 NOREPLY\r\nabc\r\n", []string{`set key="a" value="abc"`}},
	{"set a 0 0 3 foo\r\nabc\r\n", []string{`set key="a" value="abc"`}},
	{"  set  a  0  0  3  \r\nabc\r\n", []string{`set key="a" value="abc"`}},
	{"set a 0 0 3\nabc\r\n", []string{`set key="a" value="abc"`}},
	{"set a 0 0 0\r\n\r\n", []string{`set key="a" value=""`}},
	{"set a 0 0 8\r\n\r\nget a\n\r\n", []string{`set key="a" value="\r\nget a\n"`}},
	{"set a 4294967297 0 1\r\nx\r\n", []string{`set key="a" value="x" flags=1`}},
	{"set a 18446744073709551615 0 1\r\nx\r\n", []string{`set key="a" value="x" flags=4294967295`}},
	{"set a 0 2147483647 1\r\nx\r\n", []string{`set key="a" value="x" exptime=2147483647`}},
	{"set a 0 2147483648 1\r\nx\r\n", []string{`set key="a" value="x" exptime=-2147483648`}},
	{"set a 0 9999999999 1\r\nx\r\n", []string{`set key="a" value="x" exptime=1410065407`}},
	{"set a 0 +5 1\r\nx\r\n", []string{`set key="a" value="x" exptime=5`}},
	{"set " + key250 + " 0 0 1\r\nx\r\n", []string{`set key="` + key250 + `" value="x"`}},

	// storage commands without a length: the data is a command
	{"set\r\n", []string{errError}},
	{"set a\r\n", []string{errError}},
	{"set a 0 0\r\nversion\r\n", []string{errError, "version"}},
	{"set a 0 0 7 noreply x\r\nversion\r\n", []string{errError, "version"}},
	{"set a 0 0 1 2 3 4 5 6 7 8\r\n", []string{errError}},
	{"cas a 0 0 7\r\nversion\r\n", []string{errError, "version"}},
	{"cas a 0 0 7 noreply\r\nversion\r\n", []string{errNoreply}},
	{"cas a 0 0 7 1 noreply x\r\nversion\r\n", []string{errError, "version"}},
	{"add\r\n", []string{errError}},
	{"replace\r\n", []string{errError}},
	{"append\r\n", []string{errError}},
	{"prepend\r\n", []string{errError}},
	{"cas\r\n", []string{errError}},
	{"set a 0 0 x\r\nversion\r\n", []string{errFormat, "version"}},
	{"set a 0 0 -1\r\nversion\r\n", []string{errFormat, "version"}},
	{"set a 0 0 7a\r\nversion\r\n", []string{errFormat, "version"}},
	{"set a 0 0 2147483646\r\nversion\r\n", []string{errFormat, "version"}},
	{"set a 0 0 4294967303\r\nversion\r\n", []string{errFormat, "version"}},
	{"set a 0 0 18446744073709551623\r\nversion\r\n", []string{errFormat, "version"}},
	{"set a 0 0 x noreply\r\nversion\r\n", []string{errNoreply, "version"}},
	{"set a 0 0 noreply\r\nversion\r\n", []string{errNoreply, "version"}},

	// storage commands with a length and another fault: the data is swallowed
	{"set a x 0 7\r\nversion\r\n" + bareVersion, []string{errFormat, "version"}},
	{"set a -1 0 7\r\nversion\r\n" + bareVersion, []string{errFormat, "version"}},
	{"set a 1a 0 7\r\nversion\r\n" + bareVersion, []string{errFormat, "version"}},
	{"set a 0 x 7\r\nversion\r\n" + bareVersion, []string{errFormat, "version"}},
	{"set a 0 9223372036854775808 7\r\nversion\r\n" + bareVersion, []string{errFormat, "version"}},
	{"set " + key251 + " 0 0 7\r\nversion\r\n" + bareVersion, []string{errFormat, "version"}},
	{"cas a 0 0 7 x\r\nversion\r\n" + bareVersion, []string{errFormat, "version"}},
	{"add " + key251 + " 0 0 7 noreply\r\nversion\r\n" + bareVersion, []string{errNoreply, "version"}},
	{"set " + key251 + " 0 0 21\r\n" + tooLargeData + bareVersion, []string{errFormat, "version"}},

	// values over the limit
	{"set a 0 0 20\r\n12345678901234567890\r\n", []string{`set key="a" value="12345678901234567890"`}},
	{"set a 0 0 21\r\n" + tooLargeData + bareVersion, []string{`error key="a" ` + errTooLarge + ` drop`, "version"}},
	{"set a 0 0 21 noreply\r\n" + tooLargeData + bareVersion, []string{`error key="a" noreply drop`, "version"}},
	{"add a 0 0 21\r\n" + tooLargeData + bareVersion, []string{`error ` + errTooLarge, "version"}},
	{"replace a 0 0 21\r\n" + tooLargeData + bareVersion, []string{`error ` + errTooLarge, "version"}},
	{"append a 0 0 21\r\n" + tooLargeData + bareVersion, []string{`error ` + errTooLarge, "version"}},
	{"prepend a 0 0 21\r\n" + tooLargeData + bareVersion, []string{`error ` + errTooLarge, "version"}},
	{"cas a 0 0 21 1\r\n" + tooLargeData + bareVersion, []string{`error ` + errTooLarge, "version"}},
	{"add a 0 0 21 noreply\r\n" + tooLargeData + bareVersion, []string{errNoreply, "version"}},
	{"set a 0 0 21\r\nget a\r\nget a\r\nget a\r\nab" + bareVersion, []string{`error key="a" ` + errTooLarge + ` drop`, "version"}},

	// data that does not end where it should
	{"set a 0 0 1\r\nabcdef\r\n", []string{errChunk, errError}},
	{"set a 0 0 1\r\nabc" + bareVersion, []string{errChunk, "version"}},
	{"set a 0 0 1\r\nx\nv" + bareVersion, []string{errChunk, "version"}},
	{"set a 0 0 1\r\nxy\r\n" + bareVersion, []string{errChunk, errError, "version"}},
	{"set a 0 0 1 noreply\r\nabc" + bareVersion, []string{errNoreply, "version"}},
	{"cas a 0 0 1 1\r\nabc" + bareVersion, []string{errChunk, "version"}},

	// delete
	{"delete a\r\n", []string{`delete key="a"`}},
	{"delete a 0\r\n", []string{`delete key="a"`}},
	{"delete a noreply\r\n", []string{`delete key="a" noreply`}},
	{"delete a 0 noreply\r\n", []string{`delete key="a" noreply`}},
	{"delete noreply\r\n", []string{`delete key="noreply"`}},
	{"delete a 5\r\n", []string{errUsage}},
	{"delete a 0 0\r\n", []string{errUsage}},
	{"delete a noreply 0\r\n", []string{errUsage}},
	{"delete a 5 noreply\r\n", []string{errNoreply}},
	{"delete a 5 " + key251 + "\r\n", []string{errUsage}},
	{"delete " + key251 + "\r\n", []string{errFormat}},
	{"delete " + key251 + " noreply\r\n", []string{errNoreply}},
	{"delete\r\n", []string{errError}},
	{"delete a 0 noreply x\r\n", []string{errError}},

	// incr and decr
	{"incr a 5\r\n", []string{`incr key="a" delta=5`}},
	{"decr a 18446744073709551615\r\n", []string{`decr key="a" delta=18446744073709551615`}},
	{"incr a +5 noreply\r\n", []string{`incr key="a" delta=5 noreply`}},
	{"incr a 0 foo\r\n", []string{`incr key="a"`}},
	{"incr a x\r\n", []string{errDelta}},
	{"incr a -1\r\n", []string{errDelta}},
	{"decr a 1.5\r\n", []string{errDelta}},
	{"decr a 18446744073709551616\r\n", []string{errDelta}},
	{"incr a x noreply\r\n", []string{errNoreply}},
	{"incr a noreply\r\n", []string{errNoreply}},
	{"incr " + key251 + " x\r\n", []string{errFormat}},
	{"incr\r\n", []string{errError}},
	{"incr a\r\n", []string{errError}},
	{"decr\r\n", []string{errError}},
	{"decr a 1 noreply x\r\n", []string{errError}},

	// touch
	{"touch a 10\r\n", []string{`touch key="a" exptime=10`}},
	{"touch a -1 noreply\r\n", []string{`touch key="a" exptime=-1 noreply`}},
	{"touch a 0 foo\r\n", []string{`touch key="a"`}},
	{"touch a x\r\n", []string{errExptime}},
	{"touch a x noreply\r\n", []string{errNoreply}},
	{"touch a noreply\r\n", []string{errNoreply}},
	{"touch " + key251 + " 0\r\n", []string{errFormat}},
	{"touch a\r\n", []string{errError}},
	{"touch a 0 noreply x\r\n", []string{errError}},

	// flush_all
	{"flush_all\r\n", []string{`flush_all`}},
	{"flush_all \r\n", []string{`flush_all`}},
	{"flush_all 10\r\n", []string{`flush_all exptime=10`}},
	{"flush_all -1\r\n", []string{`flush_all exptime=-1`}},
	{"flush_all noreply\r\n", []string{`flush_all noreply`}},
	{"flush_all 10 noreply\r\n", []string{`flush_all exptime=10 noreply`}},
	{"flush_all 10 foo\r\n", []string{`flush_all exptime=10`}},
	{"flush_all x\r\n", []string{errExptime}},
	{"flush_all noreply 10\r\n", []string{errExptime}},
	{"flush_all x noreply\r\n", []string{errNoreply}},
	{"flush_all noreply noreply\r\n", []string{errNoreply}},
	{"flush_all 10 noreply x\r\n", []string{errError}},

	// the rest
	{"version\r\n", []string{`version`}},
	{" version 1 2 3 4 5 6 7 8 9\r\n", []string{`version`}},
	{"verbosity 1\r\n", []string{`verbosity`}},
	{"verbosity 1 noreply\r\n", []string{`verbosity noreply`}},
	{"verbosity 1 2\r\n", []string{`verbosity`}},
	{"verbosity x\r\n", []string{errFormat}},
	{"verbosity -1\r\n", []string{errFormat}},
	{"verbosity noreply\r\n", []string{errNoreply}},
	{"verbosity\r\n", []string{errError}},
	{"verbosity 1 2 3\r\n", []string{errError}},
	{"stats\r\n", []string{`stats`}},
	{"stats \r\n", []string{`stats`}},
	{"stats  settings \r\n", []string{`stats arg="settings"`}},
	{"stats cachedump 1 0\r\n", []string{`stats arg="cachedump 1 0"`}},
	{"quit\r\nversion\r\n", []string{`quit`}},
	{"quit now\r\nversion\r\n", []string{`quit`}},

	// no commands
	{"\r\n", []string{errError}},
	{"\n", []string{errError}},
	{"  \r\n", []string{errError}},
	{"x\r\n", []string{errError}},
	{"foo\r\n", []string{errError}},
	{"GET a\r\n", []string{errError}},
	{"get\ta\r\n", []string{errError}},
	{"getx a\r\n", []string{errError}},
	{"\x00get a\r\n", []string{errError}},
	{"version\r\r\n", []string{errError}},
	{"x HTTP/1.1\r\n", []string{errError}},
	{"PUT / HTTP/1.1 x\r\n", []string{errError}},
	{"PUT / HTTP/1.1\r\nset a 0 0 1\r\nx\r\n", []string{errHangUp}},
	{"PUT / HTTP/1.1 \r\n", []string{errHangUp}},
	{"HTTP/1.1\n", []string{errHangUp}},
	{"version\r\nPOST /x HTTP/\r\nversion\r\n", []string{"version", errHangUp}},

	// pipelines
	{"get a\r\nset b 0 0 1\r\nx\r\nfoo\r\nget b\r\n", []string{`get "a"`, `set key="b" value="x"`, errError, `get "b"`}},
}

func TestDecodeCommands(t *testing.T) {
	for _, c := range commandCases {
		checkDecode(t, Decoder{MaxValue: 20}, c.input, c.want)
	}
}

func TestDecodeStrictKeys(t *testing.T) {
	for _, key := range []string{"a\tb", "\x01", "a\x1f", "\x7f", "a\r"} {
		for _, line := range []string{"get " + key, "gat 0 a " + key, "delete " + key, "incr " + key + " 1", "touch " + key + " 0"} {
			line += " \r\n"
			checkDecode(t, Decoder{Strict: true}, line, []string{errFormat})
			if got := decodeIn(t, Decoder{}, []byte(line)); len(got) != 1 || got[0] == errFormat {
				t.Errorf("decode %q without Strict: got %q, want a request", line, got)
			}
		}
		checkDecode(t, Decoder{Strict: true}, "set "+key+" 0 0 1\r\nx\r\n", []string{errFormat})
	}
	checkDecode(t, Decoder{Strict: true}, "get \xc3\xa9~!\r\n", []string{`get "é~!"`})
}
