package futago

import (
	"net"
	"slices"
	"strconv"
	"testing"
)

// libmemcachedConfig is the pool of a case.
func libmemcachedConfig(t *testing.T, tc vectorCase) Config {
	t.Helper()
	cfg := Config{NoFailover: true} // libmemcached's default
	switch tc.Distribution {
	case "modula":
		cfg.Strategy = Modula
	case "consistent":
		cfg.Strategy = Continuum
	case "ketama_weighted", "ketama_weighted_then_hash":
		cfg.Strategy = Ketama
	default:
		t.Fatalf("unknown distribution %q", tc.Distribution)
	}
	cfg.Hash = Hash(slices.Index(hashNames[:], tc.Hash)) // null is the default
	for _, s := range tc.Servers {
		addr := net.JoinHostPort(s.Host, strconv.Itoa(s.Port))
		cfg.Servers = append(cfg.Servers, Server{Addr: addr, Weight: s.Weight, RetryInterval: -1})
	}
	if tc.Prefix != nil {
		cfg.KeyPrefix, cfg.HashWithoutPrefix = tc.Prefix.Key, !tc.Prefix.HashedWithKey
	}
	return cfg
}

// TestLibmemcachedVectors makes the choices that libmemcached 1.1.4 was seen to make under PHP's memcached extension: with
// every distribution and hash, with prefixes, with a server that refuses, and with replicas.
func TestLibmemcachedVectors(t *testing.T) {
	f := readVectors(t, "testdata/libmemcached-vectors.json")
	checked, refused := 0, 0
	for _, tc := range f.Cases {
		cfg := libmemcachedConfig(t, tc)
		fakes := newFakeNet()
		cfg.Dial = fakes.dial
		for i, s := range cfg.Servers {
			fakes.server(s.Addr)
			if slices.Contains(tc.Failed, i) {
				fakes.refuse(s.Addr)
			}
		}
		c := open(t, cfg)
		for id, k := range f.Keys {
			checked++
			key := unhex(t, k.Hex)
			var index *int
			if tc.Replicas > 0 {
				// The extension stores no replica by set: the only holder is the key's server.
				if len(tc.Holders[id]) != 1 {
					t.Fatalf("key %d lies at %v", id, tc.Holders[id])
				}
				index = &tc.Holders[id][0]
			} else {
				index = tc.Index[id]
			}
			if index == nil {
				// Stored nowhere: the key is not ASCII, which libmemcached refuses and this client does not, or its server
				// failed, and the key with it.
				if tc.ResultCodes[id] == 33 {
					refused++
					continue
				}
				want(t, tc.String(), c.Set(t.Context(), &Item{Key: key, Value: []byte("v")}), ErrNoServers)
				continue
			}
			if got, err := c.ServerFor(key); err != nil || got != cfg.Servers[*index].Addr {
				t.Errorf("%v key %d %q: got %s and error %v, want server %d", tc, id, key, got, err, *index)
			}
		}
		c.Close()
	}
	if checked != f.Vectors || checked != 9600 || refused != 36 {
		t.Errorf("checked %d of %d vectors, %d refused", checked, f.Vectors, refused)
	}
}
