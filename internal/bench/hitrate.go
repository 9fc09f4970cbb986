package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/futago/futago/internal/memcache"
)

// HitRateConfig says how caches are compared.
type HitRateConfig struct {
	Futago   string    // program
	Memory   int64     // of each cache, bytes
	Keys     int       // that are asked for
	Requests int       // of each case; the hit rate is that of the second half
	Skews    []float64 // exponents of the Zipf distribution, a case each
	Seed     uint64
	Log      io.Writer // progress; nil is silent
}

// DefaultHitRateConfig asks for four times what fits.
func DefaultHitRateConfig() HitRateConfig {
	return HitRateConfig{Memory: 64 << 20, Keys: 500_000, Requests: 2_000_000, Skews: []float64{0.7, 0.9, 1.0, 1.1}, Seed: 1}
}

// HitRate is how one cache did in one case.
type HitRate struct {
	Skew     float64       `json:"skew"`
	Server   string        `json:"server"`
	Rate     float64       `json:"rate"`     // of the gets of the second half, 0 to 1
	Refused  int           `json:"refused"`  // sets that were not stored
	Resident uint64        `json:"resident"` // memory of the process in the end, bytes
	Took     time.Duration `json:"took"`
}

// Validate returns an error that names what is wrong.
func (c *HitRateConfig) Validate() error {
	if c.Memory < 16<<20 || c.Keys < 1 || c.Requests < 2 {
		return errors.New("memory of at least 16 MiB, a key and two requests are needed")
	}
	return nil
}

// CompareHitRates runs memcached and futago --evict as read-through caches of the same memory: what is missed is stored. Values
// have 100 to 1,000 bytes. All caches of a case get the same keys in the same order.
func CompareHitRates(ctx context.Context, c HitRateConfig) (results []HitRate, err error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("compare hit rates: %w", err)
	}
	for _, skew := range c.Skews {
		zipf := newZipf(c.Keys, skew)
		for _, p := range []*peer{memcachedCache(c.Memory), futagoCache(c.Futago, c.Memory)} {
			r, err := measureHitRate(ctx, c, p, zipf)
			if err != nil {
				return results, fmt.Errorf("hit rate of %s: %w", p.name, err)
			}
			r.Skew = skew
			results = append(results, r)
			if c.Log != nil {
				fmt.Fprintf(c.Log, "skew %.1f, %s: %.1f %%\n", skew, p.name, 100*r.Rate)
			}
		}
	}
	return results, nil
}

func memcachedCache(memory int64) *peer {
	return &peer{
		name: "memcached", program: "memcached", protocol: Memcache,
		args: func(port int, _ string) []string {
			return []string{"-u", "nobody", "-l", localhost, "-p", strconv.Itoa(port), "-U", "0", "-m", strconv.FormatInt(memory>>20, 10)}
		},
	}
}

func futagoCache(program string, memory int64) *peer {
	return &peer{
		name: "futago --evict", program: program, protocol: Memcache,
		args: func(port int, _ string) []string {
			return []string{"serve", "--listen", at(localhost, port), "--admin-listen", "none", "--data", "none", "--evict", "--max-memory", strconv.FormatInt(memory, 10)}
		},
	}
}

// hitBatch is how many gets are sent at once.
const hitBatch = 64

func measureHitRate(ctx context.Context, c HitRateConfig, p *peer, zipf *zipf) (r HitRate, err error) {
	s, err := p.start(ctx, -1)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", s.address)
	if err != nil {
		return r, err
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	in, out := bufio.NewReaderSize(nc, 1<<18), bufio.NewWriterSize(nc, 1<<18)
	random := newRandom(c.Seed, 0)
	value := bytes.Repeat([]byte("v"), 1000)
	keys := make([]uint64, hitBatch)
	begin, gets, hits := time.Now(), 0, 0
	r.Server = p.name
	for done := 0; done < c.Requests; done += hitBatch {
		for i := range keys {
			keys[i], random = zipf.draw(random)
			fmt.Fprintf(out, "get key-%d\r\n", keys[i])
		}
		if err := out.Flush(); err != nil {
			return r, err
		}
		missed := keys[:0:0]
		for _, k := range keys {
			hit, err := readHit(in)
			if err != nil {
				return r, err
			}
			if !hit {
				missed = append(missed, k)
			}
			if done >= c.Requests/2 {
				gets++
				if hit {
					hits++
				}
			}
		}
		for _, k := range missed {
			size := sizeOfKey(k)
			fmt.Fprintf(out, "set key-%d 0 0 %d\r\n%s\r\n", k, size, value[:size])
		}
		if err := out.Flush(); err != nil {
			return r, err
		}
		for range missed {
			line, err := in.ReadString('\n')
			if err != nil {
				return r, err
			}
			if line != memcache.ReplyStored {
				r.Refused++
			}
		}
	}
	r.Took, r.Rate = time.Since(begin), float64(hits)/float64(gets)
	m, err := readMemory(s.cmd.Process.Pid)
	r.Resident = m.anonymous + m.file
	return r, err
}

// readHit reads the reply to the get of one key.
func readHit(in *bufio.Reader) (hit bool, err error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return false, err
	}
	if string(line) == memcache.ReplyEnd {
		return false, nil
	}
	fields := bytes.Fields(line)
	if len(fields) != 4 || string(fields[0]) != "VALUE" {
		return false, fmt.Errorf("unexpected reply %.80q", line)
	}
	size, err := strconv.Atoi(string(fields[3]))
	if err != nil {
		return false, fmt.Errorf("unexpected reply %.80q", line)
	}
	_, err = in.Discard(size + len("\r\n") + len(memcache.ReplyEnd))
	return true, err
}

// sizeOfKey is the size of the value of a key, always the same: 100 to 1,000 bytes.
func sizeOfKey(k uint64) int { return 100 + int(k*0x9e3779b97f4a7c15>>40%901) }
