package tyrant

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Mask is a set of commands that are refused, by the bits of ttserver's options -mask and -unmask.
type Mask uint64

// Via is the protocol by which a command comes.
type Via uint8

// The protocols.
const (
	ViaTyrant Via = iota
	ViaMemcache
	ViaHTTP
)

// maskNames are the names of the bits.
var maskNames = [...]string{
	"put", "putkeep", "putcat", "putshl", "putnr", "out", "get", "mget", "vsiz", "iterinit", "iternext", "fwmkeys", "addint", "adddouble",
	"ext", "sync", "optimize", "vanish", "copy", "restore", "setmst", "rnum", "size", "stat", "misc", "repl",
	"slave", "allorg", "allmc", "allhttp", "allread", "allwrite", "allmanage",
}

// maskAll sets everything.
const maskAll = "all"

func maskOf(name string) Mask { return 1 << slices.Index(maskNames[:], name) }

var (
	// MaskSlave forbids to follow a master.
	MaskSlave = maskOf("slave")

	maskVia    = [...]Mask{ViaTyrant: maskOf("allorg"), ViaMemcache: maskOf("allmc"), ViaHTTP: maskOf("allhttp")}
	maskRead   = maskOf("allread")
	maskWrite  = maskOf("allwrite")
	maskManage = maskOf("allmanage")

	// masks are the bits each of which forbids a command. Scripts may write: the original leaves them out of allwrite.
	masks = [256]Mask{
		Put: maskOf("put") | maskWrite, PutKeep: maskOf("putkeep") | maskWrite, PutCat: maskOf("putcat") | maskWrite,
		PutShl: maskOf("putshl") | maskWrite, PutNR: maskOf("putnr") | maskWrite, Out: maskOf("out") | maskWrite,
		Get: maskOf("get") | maskRead, MGet: maskOf("mget") | maskRead, VSiz: maskOf("vsiz") | maskRead,
		IterInit: maskOf("iterinit") | maskRead, IterNext: maskOf("iternext") | maskRead, FwmKeys: maskOf("fwmkeys") | maskRead,
		AddInt: maskOf("addint") | maskWrite, AddDouble: maskOf("adddouble") | maskWrite, Ext: maskOf("ext") | maskWrite,
		Sync: maskOf("sync") | maskManage, Optimize: maskOf("optimize") | maskManage, Vanish: maskOf("vanish") | maskWrite,
		Copy: maskOf("copy") | maskManage, Restore: maskOf("restore") | maskManage, SetMst: maskOf("setmst") | maskManage,
		RNum: maskOf("rnum") | maskRead, Size: maskOf("size") | maskRead, Stat: maskOf("stat") | maskRead,
		Misc: maskOf("misc") | maskWrite, Repl: maskOf("repl"),
	}
)

// ParseMask reads names, or hexadecimal numbers with 0x in front, with commas or blanks between them. Names are read in any case. It
// takes what it knows, as ttserver does, and then the error names the first that it does not.
func ParseMask(text string) (m Mask, err error) {
	for _, name := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
		lower := strings.ToLower(name)
		if i := slices.Index(maskNames[:], lower); i >= 0 {
			m |= 1 << i
			continue
		}
		if lower == maskAll {
			m |= 1<<len(maskNames) - 1
			continue
		}
		if digits, ok := strings.CutPrefix(lower, "0x"); ok {
			if n, bad := strconv.ParseUint(digits, 16, 64); bad == nil {
				m |= Mask(n)
				continue
			}
		}
		if err == nil {
			err = fmt.Errorf("unknown command %q to mask: known are %s and %s", name, strings.Join(maskNames[:], ", "), maskAll)
		}
	}
	return m, err
}

// commandIndex are the bits that are named like their command.
var commandIndex = func() (index [256]uint8) {
	for c, s := range shapes {
		if i := slices.Index(maskNames[:], s.name); s.name != "" && i >= 0 {
			index[c] = uint8(i)
		}
	}
	return index
}()

// Commands is how many commands there are.
const Commands = 26

// Index is the place of a command in the original's lists: that of its bit in a mask and of its counter in stat, below Commands.
func (c Command) Index() int { return int(commandIndex[c]) }

// CommandAt is the name of the command with this index.
func CommandAt(i int) string { return maskNames[:Commands][i] }

// Forbids reports whether a command that comes by a protocol is refused.
func (m Mask) Forbids(c Command, via Via) bool { return m&(masks[c]|maskVia[via]) != 0 }

// String lists the names of the bits.
func (m Mask) String() string {
	var names []string
	for i, name := range maskNames {
		if m&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}
