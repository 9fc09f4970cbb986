package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/futago/futago/internal/tyrant"
)

// A tyrantTool is a program of Tokyo Tyrant in whose place futago runs, by a link of its name or as a subcommand. It has the
// original's command line, output and exit codes.
type tyrantTool struct {
	name string
	// words is what stands behind the name, for help.
	words, short, long, example string
	// run returns the exit code: exitOK or exitFailure.
	run func(cmd *cobra.Command, s streams, args []string) int
}

// streams are where a tool reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// tyrantTools are all of them.
var tyrantTools = []tyrantTool{tcrmgrTool, ttserverTool, ttulmgrTool}

// argsByName returns the arguments of futago for a command line whose program may be a link named like a tool.
func argsByName(line []string) []string {
	name := filepath.Base(line[0])
	if slices.ContainsFunc(tyrantTools, func(t tyrantTool) bool { return t.name == name }) {
		return append([]string{name}, line[1:]...)
	}
	return line[1:]
}

func (t tyrantTool) command() *cobra.Command {
	return &cobra.Command{
		Use:                   t.name + " " + t.words,
		Short:                 t.short,
		Long:                  t.long,
		Example:               t.example,
		DisableFlagParsing:    true, // the options are not ours
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && args[0] == "--help" {
				return cmd.Help()
			}
			s := streams{cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()}
			if len(args) == 1 && args[0] == "--version" {
				printTyrantVersion(s.out)
				return nil
			}
			if code := t.run(cmd, s, args); code != exitOK {
				return exitCode(code)
			}
			return nil
		},
	}
}

// tyrantVersion is that of the original, whose form programs look for.
const tyrantVersion = "Tokyo Tyrant version 1.1.41 (324:0.91) for Linux"

func printTyrantVersion(w io.Writer) {
	fmt.Fprintf(w, "%s\n%s\n", tyrantVersion, thisBuild())
}

// dashOption is an option of Tokyo Tyrant's: what it is called, with one dash, and what takes its words.
type dashOption struct {
	words int
	set   func(words []string)
}

// flagOption is an option without words.
func flagOption(set func()) dashOption { return dashOption{0, func([]string) { set() }} }

// wordOption is an option with one word.
func wordOption(set func(word string)) dashOption {
	return dashOption{1, func(words []string) { set(words[0]) }}
}

// parseDashed takes the options in front of the first operand, behind which nothing is an option. An unknown option, or one that lacks
// a word, is ok = false.
func parseDashed(args []string, options map[string]dashOption) (operands []string, ok bool) {
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		o, known := options[args[0]]
		if !known || len(args) <= o.words {
			return nil, false
		}
		o.set(args[1 : 1+o.words])
		args = args[1+o.words:]
	}
	return args, true
}

// usageOptions keeps the options that a line of usage names.
func usageOptions(usage string, options map[string]dashOption) map[string]dashOption {
	known := maps.Clone(options)
	words := strings.FieldsFunc(usage, func(r rune) bool { return strings.ContainsRune(" []|", r) })
	maps.DeleteFunc(known, func(name string, _ dashOption) bool { return !slices.Contains(words, name) })
	return known
}

// leadingInt reads the decimal number that text begins with, as the original reads numbers: 0 where there is none, and
// not beyond 64 bits.
func leadingInt(text string) int64 {
	text = strings.TrimLeft(text, " \t\r\n\v\f")
	negative := strings.HasPrefix(text, "-")
	if negative || strings.HasPrefix(text, "+") {
		text = text[1:]
	}
	n := int64(0)
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			break
		}
		if n > (math.MaxInt64-int64(c-'0'))/10 {
			n = math.MaxInt64
			break
		}
		n = n*10 + int64(c-'0')
	}
	if negative {
		return -n
	}
	return n
}

// leadingInt32 is leadingInt within 32 bits.
func leadingInt32(text string) int32 {
	return int32(min(max(leadingInt(text), math.MinInt32), math.MaxInt32))
}

// tyrantTime reads a time in microseconds since 1970; now, or a negative number, is the present.
func tyrantTime(text string) int64 {
	n := leadingInt(text)
	if n < 0 || strings.EqualFold(text, "now") {
		return time.Now().UnixMicro()
	}
	return n
}

// unhex reads hexadecimal digits; blanks between the bytes are passed over.
func unhex(text []byte) ([]byte, error) {
	digits := make([]byte, 0, len(text))
	for _, word := range strings.Fields(string(text)) {
		digits = append(digits, word...)
	}
	n, err := hex.Decode(digits, digits)
	if err != nil {
		return nil, fmt.Errorf("%.40q is not made of bytes of two hexadecimal digits", text)
	}
	return digits[:n], nil
}

// appendHex appends bytes of two digits with blanks between.
func appendHex(dst, b []byte) []byte {
	const digits = "0123456789ABCDEF"
	for i, c := range b {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(dst, digits[c>>4], digits[c&15])
	}
	return dst
}

// errLongLine says that a line is longer than its reader allows.
var errLongLine = errors.New("a line is too long")

// readLine reads a line without its end. At the end of the input it returns io.EOF; a last line needs no end.
func readLine(r *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	for {
		piece, err := r.ReadSlice('\n')
		line = append(line, piece...)
		switch {
		case len(line) > limit:
			return nil, fmt.Errorf("%w: more than %d bytes", errLongLine, limit)
		case err == nil:
			return line[:len(line)-1], nil
		case err == bufio.ErrBufferFull:
		case err == io.EOF && len(line) > 0:
			return line, nil
		default:
			return nil, err
		}
	}
}

// entryLine is an entry of an update log as text: time, sid:mid, the command's name and the payload.
func entryLine(e *tyrant.Entry) []byte {
	var r tyrant.Request
	name := "unknown"
	if _, err := tyrant.DecodePayload(e.Payload, &r); err == nil {
		name = r.Command.String()
	}
	line := fmt.Appendf(nil, "%d\t%d:%d\t%s\t", e.Time, e.SID, e.MID, name)
	return append(appendHex(line, e.Payload), '\n')
}

// tyrantSize reads a number of bytes: decimals, and one of k, m, g, t, p, e for powers of 1024. What cannot be read is 0.
func tyrantSize(text string) int64 {
	text = strings.TrimSpace(text)
	unit := 1.0
	if n := len(text); n > 0 {
		if i := strings.IndexByte("kmgtpe", text[n-1]|0x20); i >= 0 {
			unit = math.Pow(1024, float64(i+1))
			text = text[:n-1]
		}
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n > 0) {
		return 0
	}
	return int64(min(n*unit, math.MaxInt64/2))
}
