package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/futago/futago/internal/tyrant"
)

// tyrantPort is the port of Tokyo Tyrant.
const tyrantPort = 1978

var tcrmgrTool = tyrantTool{
	name:  "tcrmgr",
	words: "command [-option...] host [word...]",
	short: "Use a node or a ttserver as Tokyo Tyrant's tcrmgr does",
	long: `Use a node or a ttserver as Tokyo Tyrant's tcrmgr does, with its options, output and exit codes: 0, or 1 when
something failed or the command line is wrong. A link named tcrmgr is the same.

The host is a name, or an expression host:port or host#port=NUM#tout=SECONDS; with port 0 it is the path of a
socket. Options stand in front of it. Without arguments the command prints them all.`,
	example: `  futago tcrmgr put -port 1978 127.0.0.1 greeting hello
  futago tcrmgr list -pv -fm gr 127.0.0.1:1978
  ln -s "$(command -v futago)" /usr/local/bin/tcrmgr
  tcrmgr inform -st '127.0.0.1#port=1978#tout=2'`,
	run: runTcrmgr,
}

// tcrmgrCommand is a subcommand. Its usage names the options that it knows.
type tcrmgrCommand struct {
	name  string
	usage string
	// least and most count the operands, the host among them; most below 0 is any number.
	least, most int
	run         func(*tcrmgr) error
}

var tcrmgrCommands = []tcrmgrCommand{
	{"inform", "[-port num] [-st] host", 1, 1, (*tcrmgr).inform},
	{"put", "[-port num] [-sx] [-sep chr] [-dk|-dc|-dai|-dad] [-ds num] host key value", 3, 3, (*tcrmgr).put},
	{"out", "[-port num] [-sx] [-sep chr] host key", 2, 2, (*tcrmgr).remove},
	{"get", "[-port num] [-sx] [-sep chr] [-px] [-pz] host key", 2, 2, (*tcrmgr).get},
	{"mget", "[-port num] [-sx] [-sep chr] [-px] host [key...]", 1, -1, (*tcrmgr).mget},
	{"list", "[-port num] [-sep chr] [-m num] [-pv] [-px] [-fm str] host", 1, 1, (*tcrmgr).list},
	{"ext", "[-port num] [-xlr|-xlg] [-sx] [-sep chr] [-px] host func [key [value]]", 2, 4, (*tcrmgr).ext},
	{"sync", "[-port num] host", 1, 1, func(t *tcrmgr) error { return t.client.Sync() }},
	{"optimize", "[-port num] host [params]", 1, 2, func(t *tcrmgr) error { return t.client.Optimize(t.operand(1)) }},
	{"vanish", "[-port num] host", 1, 1, func(t *tcrmgr) error { return t.client.Vanish() }},
	{"copy", "[-port num] host dpath", 2, 2, func(t *tcrmgr) error { return t.client.Copy(t.operand(1)) }},
	{"misc", "[-port num] [-mnu] [-sx] [-sep chr] [-px] host func [arg...]", 2, -1, (*tcrmgr).misc},
	{"importtsv", "[-port num] [-nr] [-sc] host [file]", 1, 2, (*tcrmgr).importTSV},
	{"restore", "[-port num] [-ts num] [-rcc] host upath", 2, 2, func(t *tcrmgr) error {
		return t.client.Restore(t.operand(1), t.time, t.check)
	}},
	// The original ends with a crash without mhost.
	{"setmst", "[-port num] [-mport num] [-ts num] [-rcc] host [mhost]", 1, 2, func(t *tcrmgr) error {
		return t.client.SetMst(t.operand(1), t.masterPort, t.time, t.check)
	}},
	{"repl", "[-port num] [-ts num] [-sid num] [-ph] host", 1, 1, (*tcrmgr).repl},
	{"http", "[-ah name value] [-ih] url", 1, 1, (*tcrmgr).http},
	{"version", "", 0, 0, func(t *tcrmgr) error { printTyrantVersion(t.out); return nil }},
}

// offline are the commands that connect to no server of Tokyo Tyrant's.
var offline = []string{"http", "version"}

// tcrmgr is one call of the tool.
type tcrmgr struct {
	ctx      context.Context
	in       io.Reader
	out      *bufio.Writer
	client   *tyrant.Client
	operands []string

	port, masterPort int32
	hexInput         bool
	separator        byte // stands for NUL; 0 is none
	hexOutput        bool
	noNewline        bool
	values           bool
	status           bool
	put1             func(key, value []byte) error // what put does
	most             int32
	prefix           *string
	options          uint32 // of ext and misc
	check            uint32 // of restore and setmst
	noReply          bool
	lower            bool
	time             int64
	sid              int32
	readable         bool
	headers          [][2]string
	showHeaders      bool
}

func runTcrmgr(cmd *cobra.Command, s streams, args []string) int {
	var c *tcrmgrCommand
	if len(args) > 0 {
		if i := slices.IndexFunc(tcrmgrCommands, func(c tcrmgrCommand) bool { return c.name == args[0] }); i >= 0 {
			c = &tcrmgrCommands[i]
		}
	}
	if c == nil {
		return tcrmgrUsage(s.err)
	}
	t := &tcrmgr{ctx: cmd.Context(), in: s.in, out: bufio.NewWriter(s.out), port: tyrantPort, masterPort: tyrantPort, most: -1, sid: math.MaxInt32}
	var ok bool
	t.operands, ok = parseDashed(args[1:], usageOptions(c.usage, t.dashOptions()))
	if !ok || len(t.operands) < c.least || c.most >= 0 && len(t.operands) > c.most {
		return tcrmgrUsage(s.err)
	}
	err := t.call(c)
	if flushErr := t.out.Flush(); err == nil {
		err = flushErr
	}
	if err == nil {
		return exitOK
	}
	if e, ok := errors.AsType[*tyrant.Error](err); ok {
		fmt.Fprintf(s.err, "tcrmgr: error: %d: %v\n", int(e.Code), e.Code)
	} else {
		fmt.Fprintf(s.err, "tcrmgr: %v\n", err)
	}
	return exitFailure
}

func tcrmgrUsage(w io.Writer) int {
	fmt.Fprint(w, "tcrmgr: the command line utility of a server of Tokyo Tyrant's protocol\n\nusage:\n")
	for _, c := range tcrmgrCommands {
		fmt.Fprintln(w, strings.TrimRight("  tcrmgr "+c.name+" "+c.usage, " "))
	}
	fmt.Fprintln(w)
	return exitFailure
}

func (t *tcrmgr) dashOptions() map[string]dashOption {
	return map[string]dashOption{
		"-port":  wordOption(func(w string) { t.port = leadingInt32(w) }),
		"-mport": wordOption(func(w string) { t.masterPort = leadingInt32(w) }),
		"-sx":    flagOption(func() { t.hexInput = true }),
		"-sep":   wordOption(func(w string) { t.separator = separatorOf(w) }),
		"-px":    flagOption(func() { t.hexOutput = true }),
		"-pz":    flagOption(func() { t.noNewline = true }),
		"-pv":    flagOption(func() { t.values = true }),
		"-st":    flagOption(func() { t.status = true }),
		"-dk":    flagOption(func() { t.put1 = func(k, v []byte) error { return t.client.PutKeep(k, v) } }),
		"-dc":    flagOption(func() { t.put1 = func(k, v []byte) error { return t.client.PutCat(k, v) } }),
		"-dai":   flagOption(func() { t.put1 = t.addInt }),
		"-dad":   flagOption(func() { t.put1 = t.addDouble }),
		"-ds": wordOption(func(w string) {
			t.put1 = func(k, v []byte) error { return t.client.PutShl(k, v, leadingInt32(w)) }
		}),
		"-m":   wordOption(func(w string) { t.most = leadingInt32(w) }),
		"-fm":  wordOption(func(w string) { t.prefix = &w }),
		"-xlr": flagOption(func() { t.options |= tyrant.ExtLockRecord }),
		"-xlg": flagOption(func() { t.options |= tyrant.ExtLockGlobal }),
		"-mnu": flagOption(func() { t.options |= tyrant.MiscNoLog }),
		"-nr":  flagOption(func() { t.noReply = true }),
		"-sc":  flagOption(func() { t.lower = true }),
		"-ts":  wordOption(func(w string) { t.time = tyrantTime(w) }),
		"-rcc": flagOption(func() { t.check |= tyrant.CheckResults }),
		"-sid": wordOption(func(w string) { t.sid = leadingInt32(w) }),
		"-ph":  flagOption(func() { t.readable = true }),
		"-ah":  {2, func(w []string) { t.headers = append(t.headers, [2]string{w[0], w[1]}) }},
		"-ih":  flagOption(func() { t.showHeaders = true }),
	}
}

// separatorOf reads the character that stands for NUL: the first one, or \t, \r or \n written so. None is 0.
func separatorOf(word string) byte {
	switch word {
	case "":
		return 0
	case `\t`:
		return '\t'
	case `\r`:
		return '\r'
	case `\n`:
		return '\n'
	}
	return word[0]
}

// call connects, where the command needs it, and runs it.
func (t *tcrmgr) call(c *tcrmgrCommand) error {
	if slices.Contains(offline, c.name) {
		return c.run(t)
	}
	address, timeout := tyrantAddress(t.operands[0], int(t.port))
	ctx := t.ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	client, err := tyrant.Dial(ctx, address, tyrant.ClientConfig{Timeout: timeout})
	if err != nil {
		return err
	}
	defer client.Close()
	t.client = client
	return c.run(t)
}

// tyrantAddress reads a host, which port belongs to, or an expression host:port or host#port=NUM#tout=SECONDS. With port 0 the
// host is the path of a socket.
func tyrantAddress(expression string, port int) (address string, timeout time.Duration) {
	host := expression
	if strings.ContainsAny(host, ":#") && net.ParseIP(host) == nil {
		elements := strings.Split(expression, "#")
		host, port = elements[0], tyrantPort
		if i := strings.LastIndexByte(host, ':'); i >= 0 {
			if digits := host[i+1:]; digits != "" && strings.Trim(digits, "0123456789") == "" {
				port = int(leadingInt32(digits))
			}
			host = host[:i]
		}
		for _, e := range elements[1:] {
			name, text, _ := strings.Cut(e, "=")
			switch strings.ToLower(name) {
			case "host":
				host = text
			case "port":
				port = int(leadingInt32(text))
			case "tout":
				if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds > 0 {
					timeout = secondsDuration(seconds)
				}
			}
		}
		if host == "" {
			host = "127.0.0.1"
		}
	}
	if port == 0 {
		return "unix:" + host, timeout
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(port)), timeout
}

// secondsDuration is a duration within what the type holds.
func secondsDuration(seconds float64) time.Duration {
	return time.Duration(min(seconds*float64(time.Second), math.MaxInt64/2))
}

// operand is the operand with this index, empty when it was left out.
func (t *tcrmgr) operand(i int) string {
	if i >= len(t.operands) {
		return ""
	}
	return t.operands[i]
}

// bytes are the operands from this index on, as -sx and -sep say.
func (t *tcrmgr) bytes(from int) (list [][]byte, err error) {
	for _, text := range t.operands[min(from, len(t.operands)):] {
		b := []byte(text)
		if t.hexInput {
			if b, err = unhex(b); err != nil {
				return nil, err
			}
		} else if t.separator != 0 {
			for i, c := range b {
				if c == t.separator {
					b[i] = 0
				}
			}
		}
		list = append(list, b)
	}
	return list, nil
}

// print writes data as -px and -sep say.
func (t *tcrmgr) print(b []byte) {
	switch {
	case t.hexOutput:
		b = appendHex(nil, b)
	case t.separator != 0:
		b = slices.Clone(b)
		for i, c := range b {
			if c == 0 {
				b[i] = t.separator
			}
		}
	}
	t.out.Write(b)
}

// printLines writes one line for each element.
func (t *tcrmgr) printLines(list [][]byte) {
	for _, b := range list {
		t.print(b)
		t.out.WriteByte('\n')
	}
}
