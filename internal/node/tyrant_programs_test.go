package node

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/futago/futago/internal/tyrant"
)

// What the test programs of Tokyo Tyrant, tcrtest and tcrmttest, and its tcrmgr ask of a server, in their order, and what they expect.

const programRecords = 300

// program is a client that expects results.
type program struct {
	*tyrant.Client
	t *testing.T
	r *rand.Rand
}

func (p program) ok(what string, err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
}

func (p program) fails(what string, err error, code tyrant.Code) {
	p.t.Helper()
	if got := tyrant.CodeOf(err); got != code {
		p.t.Fatalf("%s: got code %d (%v), want %d", what, got, err, code)
	}
}

func (p program) has(key, want []byte) {
	p.t.Helper()
	got, err := p.Get(key)
	size, sizeErr := p.VSiz(key)
	if err != nil || sizeErr != nil || string(got) != string(want) || int(size) != len(want) {
		p.t.Fatalf("%q is %q, %v, of size %d, %v; want %q", key, got, err, size, sizeErr, want)
	}
}

func (p program) count(want int) {
	p.t.Helper()
	if n, err := p.RNum(); err != nil || n != uint64(want) {
		p.t.Fatalf("rnum: got %d, %v, want %d", n, err, want)
	}
	if _, err := p.Size(); err != nil {
		p.t.Fatal(err)
	}
}

// keys goes through all of them.
func (p program) keys() (all []string) {
	p.t.Helper()
	p.ok("iterinit", p.IterInit())
	for {
		key, err := p.IterNext()
		if errors.Is(err, tyrant.CodeNoRecord) {
			return all
		}
		p.ok("iternext", err)
		all = append(all, string(key))
	}
}

func (p program) misc(name string, options uint32, args ...string) []string {
	p.t.Helper()
	var list [][]byte
	for _, a := range args {
		list = append(list, []byte(a))
	}
	got, err := p.Misc(name, options, list...)
	p.ok("misc "+name, err)
	var texts []string
	for _, b := range got {
		texts = append(texts, string(b))
	}
	return texts
}

func eight(i int) []byte { return fmt.Appendf(nil, "%08d", i) }

// write, read, remove are the first three of tcrtest, with and without -nr, -mul and -rnd.
func (p program) writeReadRemove() {
	p.ok("vanish", p.Vanish())
	for i := 1; i <= programRecords; i++ {
		if i%2 == 0 {
			p.ok("put", p.Put(eight(i), eight(i)))
		} else {
			p.ok("putnr", p.PutNR(eight(i), eight(i)))
		}
	}
	p.count(programRecords)
	for i := 1; i <= programRecords; i++ {
		p.has(eight(i), eight(i))
	}
	for i := 1; i < programRecords; i += 10 {
		var keys [][]byte
		for k := i; k < i+10; k++ {
			keys = append(keys, eight(k))
		}
		records, err := p.MGet(append(keys, []byte("none")))
		p.ok("mget", err)
		if len(records) != len(keys) {
			p.t.Fatalf("mget: got %d records, want %d", len(records), len(keys))
		}
	}
	for i := 1; i <= programRecords; i++ {
		p.ok("out", p.Out(eight(i)))
		p.fails("out again", p.Out(eight(i)), tyrant.CodeNoRecord)
	}
	p.count(0)
}

// rcat is that of tcrtest: putcat, -shl, -dai, -dad and -ext.
func (p program) rcat() {
	add := map[string]func(key []byte) error{
		"putcat": func(key []byte) error { return p.PutCat(key, key) }, "-shl": func(key []byte) error { return p.PutShl(key, key, 5) },
		"-dai": func(key []byte) error { _, err := p.AddInt(key, 1); return err }, "-dad": func(key []byte) error { _, err := p.AddDouble(key, 0.25); return err },
		"-ext": func(key []byte) error { _, err := p.Ext("append", tyrant.ExtLockRecord, key, key); return err },
	}
	for name, do := range add {
		p.ok("vanish", p.Vanish())
		times := map[string]int{}
		for range programRecords {
			key := fmt.Sprint(1 + p.r.IntN(programRecords/10))
			times[key]++
			p.ok(name, do([]byte(key)))
		}
		p.count(len(times))
		for key, n := range times {
			var want []byte
			switch all := strings.Repeat(key, n); name {
			case "-shl":
				want = []byte(all[max(0, len(all)-5):])
			case "-dai":
				want = binary.LittleEndian.AppendUint32(nil, uint32(n))
			case "-dad":
				want = binary.LittleEndian.AppendUint64(nil, math.Float64bits(0.25*float64(n)))
			default:
				want = []byte(all)
			}
			p.has([]byte(key), want)
		}
	}
}

// miscellaneous is misc of tcrtest.
func (p program) miscellaneous() {
	p.ok("vanish", p.Vanish())
	for i := 1; i <= programRecords; i++ {
		p.ok("putkeep", p.PutKeep(eight(i), eight(i)))
		p.fails("putkeep again", p.PutKeep(eight(i), []byte("x")), tyrant.CodeKeep)
	}
	for i := 1; i <= programRecords; i++ {
		p.has(eight(i), eight(i))
	}
	all := p.keys()
	slices.Sort(all)
	if len(all) != programRecords || len(slices.Compact(all)) != programRecords {
		p.t.Fatalf("the iterator gave %d keys, want %d", len(all), programRecords)
	}
	_, err := p.IterNext()
	p.fails("iternext behind the end", err, tyrant.CodeNoRecord)
	for i := 1; i <= programRecords; i++ {
		p.ok("putcat", p.PutCat(eight(i), []byte("+")))
		_, err := p.AddInt(eight(i), 1)
		p.fails("addint to a text", err, tyrant.CodeKeep)
		_, err = p.AddDouble(fmt.Appendf(nil, "%08d+", i), 1)
		p.ok("adddouble", err)
	}
	for _, most := range []int{-1, 0, 1, 7, 10_000} {
		keys, err := p.FwmKeys([]byte("0000001"), int32(most))
		want := 20 // ten, and their sums
		if most >= 0 {
			want = min(want, most)
		}
		if err != nil || len(keys) != want {
			p.t.Fatalf("fwmkeys of at most %d: got %d, %v, want %d", most, len(keys), err, want)
		}
	}
	p.ok("vanish", p.Vanish())
	for i := 1; i+1 <= programRecords; i += 2 {
		p.misc("putlist", 0, string(eight(i)), "a", string(eight(i+1)), "b")
		if got := p.misc("getlist", 0, string(eight(i)), "none", string(eight(i+1))); !slices.Equal(got, []string{string(eight(i)), "a", string(eight(i + 1)), "b"}) {
			p.t.Fatalf("getlist: got %q", got)
		}
		if i%4 == 1 {
			p.misc("outlist", tyrant.MiscNoLog, string(eight(i)), "none")
		}
	}
	p.count(programRecords * 3 / 4)
	p.misc("iterinit", 0)
	n := 0
	for {
		got, err := p.Misc("iternext", 0)
		if errors.Is(err, tyrant.CodeMisc) {
			break
		}
		p.ok("misc iternext", err)
		if n++; len(got) != 2 || len(got[1]) != 1 {
			p.t.Fatalf("misc iternext: got %q", got)
		}
	}
	if n != programRecords*3/4 {
		p.t.Fatalf("misc iternext gave %d records", n)
	}
	_, err = p.Misc("get", 0, []byte("none"))
	p.fails("misc get of nothing", err, tyrant.CodeMisc)
	if got := p.misc("error", 0); len(got) != 1 || got[0] != "22: no record found" {
		p.t.Fatalf("misc error: got %q", got)
	}
	_, err = p.Misc("nosuch", 0)
	p.fails("an unknown function of misc", err, tyrant.CodeMisc)
	_, err = p.Ext("nosuch", 0, nil, nil)
	p.fails("an unknown function of the script", err, tyrant.CodeMisc)
	p.ok("sync", p.Sync())
	p.ok("optimize", p.Optimize(""))
	p.ok("optimize with parameters", p.Optimize("bnum=1000"))
	p.misc("sync", 0)
	p.misc("optimize", 0)
	if stat, err := p.Stat(); err != nil || !strings.Contains(string(stat), "\nrnum\t225\n") {
		p.t.Fatalf("stat: %v\n%s", err, stat)
	}
	p.misc("vanish", 0)
	p.count(0)
}

// wicked is that of tcrtest: whatever is done, in any order, leaves what a map has. Keys begin with the prefix.
func (p program) wicked(prefix string, alone bool) {
	model := map[string]string{}
	for i := range 10 * programRecords {
		key := fmt.Sprint(prefix, p.r.IntN(programRecords))
		value := strings.Repeat(fmt.Sprint(i, " "), p.r.IntN(20))
		k, v := []byte(key), []byte(value)
		old, there := model[key]
		want := func(ok bool, otherwise tyrant.Code) tyrant.Code {
			if ok {
				return tyrant.CodeSuccess
			}
			return otherwise
		}
		switch p.r.IntN(14) {
		case 0, 1:
			p.ok("put", p.Put(k, v))
			model[key] = value
		case 2:
			p.fails("putkeep", p.PutKeep(k, v), want(!there, tyrant.CodeKeep))
			if !there {
				model[key] = value
			}
		case 3, 4:
			p.ok("putcat", p.PutCat(k, v))
			model[key] = old + value
		case 5:
			width := p.r.IntN(100)
			p.ok("putshl", p.PutShl(k, v, int32(width)))
			if there {
				value = old + value
				value = value[max(0, len(value)-width):]
			}
			model[key] = value
		case 6:
			p.ok("putnr", p.PutNR(k, v))
			model[key] = value
		case 7, 8:
			p.fails("out", p.Out(k), want(there, tyrant.CodeNoRecord))
			delete(model, key)
		case 9:
			got, err := p.Get(k)
			p.fails("get", err, want(there, tyrant.CodeNoRecord))
			if string(got) != old {
				p.t.Fatalf("get %q: got %q, want %q", key, got, old)
			}
		case 10:
			size, err := p.VSiz(k)
			p.fails("vsiz", err, want(there, tyrant.CodeNoRecord))
			if int(size) != len(old) {
				p.t.Fatalf("vsiz %q: got %d, want %d", key, size, len(old))
			}
		case 11:
			records, err := p.MGet([][]byte{k, k, []byte("none")})
			p.ok("mget", err)
			if there && (len(records) != 2 || string(records[1].Value) != old) || !there && len(records) != 0 {
				p.t.Fatalf("mget %q: got %d records, want two of %q, or none", key, len(records), old)
			}
		case 12:
			sum, err := p.AddInt(k, 3)
			p.fails("addint", err, want(!there || len(old) == 4, tyrant.CodeKeep))
			if err == nil {
				model[key] = string(binary.LittleEndian.AppendUint32(nil, uint32(sum)))
			}
		default:
			if alone && p.r.IntN(100) == 0 {
				p.ok("vanish", p.Vanish())
				clear(model)
			}
			if p.r.IntN(10) == 0 {
				p.ok("iterinit", p.IterInit())
			}
			if _, err := p.IterNext(); err != nil {
				p.fails("iternext", err, tyrant.CodeNoRecord)
			}
		}
	}
	held := map[string]string{}
	for _, key := range p.keys() {
		if strings.HasPrefix(key, prefix) {
			value, err := p.Get([]byte(key))
			p.ok("get", err)
			held[key] = string(value)
		}
	}
	if !maps.Equal(held, model) {
		p.t.Fatalf("there are %d records, want %d, or they differ", len(held), len(model))
	}
	if alone {
		p.count(len(model))
	}
}

func TestTyrantPrograms(t *testing.T) {
	cfg := testConfig(t, 1)
	cfg.Allow = []string{allowCopy}
	cfg.Script = "@function append(key, value) return _putcat(key, value) end"
	n := start(t, cfg)
	n.waitReady(t)
	run := func(name string, do func(p program)) {
		t.Run(name, func(t *testing.T) {
			do(program{tyrantClient(t, n), t, rand.New(rand.NewPCG(1, 2))})
		})
	}
	run("write read remove", program.writeReadRemove)
	run("rcat", program.rcat)
	run("misc", program.miscellaneous)
	run("wicked", func(p program) { p.wicked("", true) })
	run("typical", func(p program) { // of tcrmttest
		p.ok("vanish", p.Vanish())
		for i := range 8 {
			p.t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				program{tyrantClient(t, n), t, rand.New(rand.NewPCG(2, uint64(i)))}.wicked(fmt.Sprint(i, ":"), false)
			})
		}
	})
	run("copy", func(p program) {
		path := filepath.Join(t.TempDir(), "copy")
		p.ok("copy", p.Copy(path))
		if _, err := os.Stat(path); err != nil {
			p.t.Error(err)
		}
		p.fails("copy to what is there", p.Copy(path), tyrant.CodeMisc)
		p.fails("restore without leave", p.Restore(path, 0, 0), tyrant.CodeMisc)
	})
}
