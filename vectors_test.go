package futago

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"testing"
)

// vectorFile is recorded choices of a foreign client: which server got which key.
type vectorFile struct {
	Vectors int
	Keys    []struct {
		Hex     string
		WireHex string `json:"wire_hex"`
	}
	Cases []vectorCase
}

type vectorCase struct {
	Pool    string
	Servers []struct {
		Host   string
		Port   int
		Weight int
	}
	Strategy            string
	Hash                string
	Failed              []int
	FailureKind         string `json:"failure_kind"`
	AllowFailover       *int   `json:"allow_failover"`
	MaxFailoverAttempts int    `json:"max_failover_attempts"`
	Redundancy          int
	Index               []*int
	SetFailed           []int  `json:"set_failed"`
	SetOK               []bool `json:"set_ok"`
	Holders             [][]int

	// Of libmemcached.
	Distribution string
	Prefix       *struct {
		Key           string
		HashedWithKey bool `json:"hashed_with_key"`
	}
	Replicas    int
	ResultCodes []int `json:"result_codes"`
}

func (c vectorCase) String() string {
	return fmt.Sprintf("%s/%s/%s/%s%v", c.Pool, c.Strategy, c.Hash, c.FailureKind, c.Failed)
}

// stored reports whether a store of the key succeeds: when the search does not end at a failed server. Where PHP's
// stores were recorded, they must say the same.
func (c vectorCase) stored(t *testing.T, id int) bool {
	t.Helper()
	stored := *c.Index[id] >= 0 && !slices.Contains(c.Failed, *c.Index[id])
	if (c.SetFailed != nil && slices.Contains(c.SetFailed, id) == stored) || (c.SetOK != nil && c.SetOK[id] != stored) {
		t.Errorf("%v key %d: the file says otherwise than stored %v", c, id, stored)
	}
	return stored
}

func readVectors(t *testing.T, name string) vectorFile {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var f vectorFile
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func unhex(t *testing.T, s string) string {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// vectorPool is a client configured as the PHP pool of a case, on fake servers at its addresses.
type vectorPool struct {
	client *Client
	net    *fakeNet
	addrs  []string
}

func newVectorPool(t *testing.T, tc vectorCase, phpCompatible bool) vectorPool {
	t.Helper()
	p := vectorPool{net: newFakeNet()}
	cfg := Config{
		PHPCompatible:       phpCompatible,
		Redundancy:          tc.Redundancy,
		MaxFailoverAttempts: tc.MaxFailoverAttempts,
		NoFailover:          tc.AllowFailover != nil && *tc.AllowFailover == 0,
		Dial:                p.net.dial,
	}
	switch tc.Strategy {
	case "standard":
		cfg.Strategy = Standard
	case "consistent":
		cfg.Strategy = Consistent
	default:
		t.Fatalf("unknown strategy %q", tc.Strategy)
	}
	switch tc.Hash {
	case "crc32":
		cfg.Hash = CRC32
	case "fnv":
		cfg.Hash = FNV
	default:
		t.Fatalf("unknown hash %q", tc.Hash)
	}
	for i, s := range tc.Servers {
		addr := net.JoinHostPort(s.Host, strconv.Itoa(s.Port))
		server := Server{Addr: addr, Weight: s.Weight, RetryInterval: -1}
		p.net.server(addr)
		if slices.Contains(tc.Failed, i) {
			switch tc.FailureKind {
			case "status_false":
				server.StartFailed = true
			case "connect_refused":
				p.net.refuse(addr)
			default:
				t.Fatalf("unknown failure kind %q", tc.FailureKind)
			}
		} else if len(tc.Failed) == 0 && tc.FailureKind != "up" {
			t.Fatalf("unknown failure kind %q", tc.FailureKind)
		}
		cfg.Servers = append(cfg.Servers, server)
		p.addrs = append(p.addrs, addr)
	}
	p.client = open(t, cfg)
	return p
}

// holders returns the numbers of the servers that hold the key as it is on the wire.
func (p vectorPool) holders(wire string) []int {
	var held []int
	for i, addr := range p.addrs {
		p.net.mu.Lock()
		f := p.net.servers[addr]
		p.net.mu.Unlock()
		if f != nil && f.has(wire) {
			held = append(held, i)
		}
	}
	return held
}

// TestPHPVectors makes the choices that PHP's memcache extension 4.0.5.2 was seen to make: with findServer, with
// failed servers, and with copies; each of them also with a real store through the client.
func TestPHPVectors(t *testing.T) {
	f := readVectors(t, "testdata/php-memcache-vectors.json")
	checked := 0
	for _, tc := range f.Cases {
		p := newVectorPool(t, tc, true)
		for id, k := range f.Keys {
			key, wire := unhex(t, k.Hex), unhex(t, k.WireHex)
			if got, err := p.client.wireKey(key); err != nil || got != wire {
				t.Errorf("%v key %d: got %q and error %v on the wire, want %q", tc, id, got, err, wire)
			}
			err := p.client.Set(t.Context(), &Item{Key: key, Value: []byte("v")})
			if tc.Holders != nil {
				checked++
				if got := p.holders(wire); err != nil || !slices.Equal(got, tc.Holders[id]) {
					t.Errorf("%v redundancy %d, key %d %q: got holders %v and error %v, want %v", tc, tc.Redundancy, id, key, got, err, tc.Holders[id])
				}
				continue
			}
			checked++
			index := *tc.Index[id]
			stored := tc.stored(t, id)
			var holders []int
			if stored {
				holders = []int{index}
			}
			if got := p.holders(wire); (err == nil) != stored || !slices.Equal(got, holders) {
				t.Errorf("%v key %d %q: got holders %v and error %v, want %v", tc, id, key, got, err, holders)
			}
			if !stored {
				want(t, tc.String(), err, ErrNoServers)
			}
			// What findServer names. PHP recorded no name (-1) where a refused connect ended the search.
			if index >= 0 {
				addr, err := p.client.ServerFor(key)
				if addr != p.addrs[index] || (err == nil) != stored {
					t.Errorf("%v key %d %q: ServerFor returned %s and error %v, want %s", tc, id, key, addr, err, p.addrs[index])
				}
			}
		}
		p.client.Close()
	}
	if checked != f.Vectors || checked != 12992 {
		t.Errorf("checked %d of %d vectors", checked, f.Vectors)
	}
}

// TestPHPVectorsByDefault shows that the default behaviour agrees wherever PHP finds a server, and finds one where
// PHP gives up.
func TestPHPVectorsByDefault(t *testing.T) {
	f := readVectors(t, "testdata/php-memcache-vectors.json")
	agreed, better := 0, 0
	for _, tc := range f.Cases {
		if tc.AllowFailover != nil && *tc.AllowFailover == 0 {
			continue // nothing to find
		}
		p := newVectorPool(t, tc, false)
		for id, k := range f.Keys {
			if k.Hex != k.WireHex {
				continue // refused by default, see TestStrictKeys
			}
			key := unhex(t, k.Hex)
			err := p.client.Set(t.Context(), &Item{Key: key, Value: []byte("v")})
			got := p.holders(key)
			if tc.Holders != nil {
				if err != nil || !slices.Equal(got, tc.Holders[id]) {
					t.Errorf("%v redundancy %d, key %d %q: got holders %v and error %v, want %v", tc, tc.Redundancy, id, key, got, err, tc.Holders[id])
				}
				continue
			}
			index := *tc.Index[id]
			if !tc.stored(t, id) {
				better++
				if err != nil || len(got) != 1 || slices.Contains(tc.Failed, got[0]) {
					t.Errorf("%v key %d %q: got holders %v and error %v, want any working server", tc, id, key, got, err)
				}
				continue
			}
			agreed++
			if err != nil || !slices.Equal(got, []int{index}) {
				t.Errorf("%v key %d %q: got holders %v and error %v, want %d", tc, id, key, got, err, index)
			}
		}
		p.client.Close()
	}
	if agreed < 10_000 || better < 50 {
		t.Errorf("agreed on %d, found more on %d vectors: the file lost its cases", agreed, better)
	}
}
