package server

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/futago/futago/internal/tyrant"
)

// What Tokyo Tyrant's clients are told of the version. Source: probe of 1.1.41.
const (
	tyrantVersion  = "1.1.41"
	tyrantLibrary  = "324"
	tyrantProtocol = "0.91"
	tyrantType     = "hash"
)

// stat is a name and a value of Tokyo Tyrant's stat.
type stat struct{ name, value string }

// tyrantIdentity are the lines of stat before the counters, which OPTIONS shows as well.
func (s *Server) tyrantIdentity() []stat {
	st := s.store.Stats()
	user, system := cpuTime()
	real := max(s.store.Now()-s.started, 0)
	size, resident := memoryUse()
	version := tyrantVersion
	if i := strings.LastIndexByte(s.cfg.Version, ' '); i >= 0 {
		version += s.cfg.Version[i:]
	}
	all := []stat{
		{"version", version}, {"libver", tyrantLibrary}, {"protver", tyrantProtocol}, {"os", osName()},
		{"time", unixSeconds(s.wall(s.store.Now()))}, {"pid", strconv.Itoa(os.Getpid())}, {"sid", strconv.Itoa(s.cfg.Node)},
		{"type", tyrantType}, {"path", "futago"}, {"rnum", strconv.FormatInt(max(st.Items, 0), 10)}, {"size", strconv.FormatInt(max(st.Bytes, 0), 10)},
		{"bigend", "0"},
	}
	if s.cfg.Master != nil {
		if host, port, position, ok := s.cfg.Master(); ok {
			delay := max(0, float64(time.Now().UnixMicro()-position)/1e6)
			all = append(all, stat{"mhost", host}, stat{"mport", strconv.Itoa(port)}, stat{"rts", strconv.FormatInt(position, 10)},
				stat{"delay", strconv.FormatFloat(delay, 'f', 6, 64)})
		}
	}
	if s.cfg.LogTime != nil {
		if micros, ok := s.cfg.LogTime(); ok {
			all = append(all, stat{"ulogts", strconv.FormatInt(micros, 10)})
		}
	}
	return append(all, []stat{
		{"fd", strconv.FormatInt(s.conns.Load(), 10)}, {"loadavg", loadAverage()},
		{"memsize", strconv.FormatInt(size, 10)}, {"memrss", strconv.FormatInt(resident, 10)},
		{"ru_user", seconds(user)}, {"ru_sys", seconds(system)}, {"ru_real", seconds(time.Duration(real) * time.Millisecond)},
	}...)
}

// tyrantStat is the text of stat. As in the original, commands of other protocols count as those that they stand for.
func (s *Server) tyrantStat() []byte {
	var text []byte
	line := func(name, value string) {
		text = append(append(append(append(text, name...), '\t'), value...), '\n')
	}
	for _, l := range s.tyrantIdentity() {
		line(l.name, l.value)
	}
	n := s.sum()
	own := func(c tyrant.Command) uint64 { return n[cmdTyrant+counter(c.Index())] }
	others := func(all uint64, c ...tyrant.Command) uint64 {
		for _, c := range c {
			all -= min(all, own(c))
		}
		return all
	}
	for c, more := range map[tyrant.Command]uint64{
		tyrant.Put:    others(n[cmdSet], tyrant.Put, tyrant.PutKeep, tyrant.PutCat, tyrant.PutShl, tyrant.PutNR),
		tyrant.Out:    others(n[deleteHits]+n[deleteMisses], tyrant.Out),
		tyrant.Get:    others(n[cmdGet], tyrant.Get, tyrant.VSiz),
		tyrant.AddInt: others(n[incrHits]+n[incrMisses]+n[decrHits]+n[decrMisses], tyrant.AddInt, tyrant.AddDouble),
		tyrant.Vanish: others(n[cmdFlush], tyrant.Vanish),
	} {
		n[cmdTyrant+counter(c.Index())] += more
	}
	for i := range tyrant.Commands {
		line("cnt_"+tyrant.CommandAt(i), strconv.FormatUint(n[cmdTyrant+counter(i)], 10))
	}
	line("cnt_put_miss", strconv.FormatUint(n[tyrantPutMiss], 10))
	line("cnt_out_miss", strconv.FormatUint(n[deleteMisses], 10))
	line("cnt_get_miss", strconv.FormatUint(n[getMisses], 10))
	return text
}

// osName is the system as the original calls it.
func osName() string {
	if runtime.GOOS == "linux" {
		return "Linux"
	}
	return runtime.GOOS
}

func unixSeconds(t time.Time) string {
	return strconv.FormatFloat(float64(t.UnixMicro())/1e6, 'f', 6, 64)
}

// loadAverage is that of the last five minutes.
func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg")
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return "0"
	}
	return string(fields[1])
}

// memoryUse is how much memory the process maps, and how much of it is there, in bytes.
func memoryUse() (size, resident int64) {
	text, _ := os.ReadFile("/proc/self/statm")
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0, 0
	}
	page := int64(os.Getpagesize())
	size, _ = strconv.ParseInt(string(fields[0]), 10, 64)
	resident, _ = strconv.ParseInt(string(fields[1]), 10, 64)
	return size * page, resident * page
}
