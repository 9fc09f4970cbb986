package rediscluster

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/access/accesstest"
	"github.com/futago/futago/internal/store"
)

// begin returns a configuration for a fake.
func begin(f *fake) Config {
	cfg := DefaultConfig()
	cfg.Addrs, cfg.Timeout = []string{f.Addr().String()}, 5*time.Second
	return cfg
}

func commit(s *Store, key string) error {
	return s.Commit(&store.Request{Op: store.Set, Key: []byte(key)}, new(store.Result))
}

// TestOpenWithoutCluster opens a store whose cluster does not answer, or not yet as one: operations fail, and work once it does.
func TestOpenWithoutCluster(t *testing.T) {
	loading, down := "-LOADING Redis is loading the dataset in memory\r\n", "-CLUSTERDOWN The cluster is down\r\n"
	for name, change := range map[string]func(f *fake, is bool){
		"away":    func(f *fake, is bool) { f.away.Store(is) },
		"loading": func(f *fake, is bool) { f.refuse(loading, is) },
		"down":    func(f *fake, is bool) { f.refuse(down, is) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := startFake(t)
			f.answer = func([]string) (string, bool) { return written, false }
			change(f, true)
			s, err := Open(t.Context(), begin(f))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := commit(s, "k"); !errors.Is(err, store.ErrUnreached) {
				t.Errorf("set: %v", err)
			}
			var v store.View
			if s.Acquire([]byte("k"), &v) || !errors.Is(v.Fault, store.ErrUnreached) {
				t.Errorf("get: %v", v.Fault)
			}
			if _, err := s.FlushAll(0); !errors.Is(err, store.ErrUnreached) {
				t.Errorf("flush_all: %v", err)
			}
			if h := s.Health(t.Context()); h.Err == nil || !strings.HasPrefix(h.Err.Error(), "not since the start") {
				t.Errorf("health: %v", h.Err)
			}
			s.Stats()
			if f.records.Load() != 0 {
				t.Error("something was asked of a cluster that does not answer")
			}
			change(f, false)
			await(t, "the store works", func() bool { return commit(s, "k") == nil })
			if h := s.Health(t.Context()); h.Err != nil || h.Slots != slotCount {
				t.Errorf("health: %+v", h)
			}
		})
	}
}

// TestOpenOtherServer: what speaks another protocol is named as that.
func TestOpenOtherServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, "ERROR\r\n")
			c.Close()
		}
	}()
	cfg := DefaultConfig()
	cfg.Addrs = []string{l.Addr().String()}
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err) // it may be there later
	}
	defer s.Close()
	if h := s.Health(t.Context()); h.Err == nil || !strings.Contains(h.Err.Error(), "no Redis or Valkey answers there") {
		t.Errorf("health: %v", h.Err)
	}
}

func (f *fake) refuse(text string, is bool) {
	if f.refusal.Store(nil); is {
		f.refusal.Store(&text)
	}
}

// TestOpenRefused opens stores whose settings are wrong for certain.
func TestOpenRefused(t *testing.T) {
	secret := "right"
	authority := accesstest.New(t)
	files := authority.Issue(t, t.TempDir(), 7)
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	other, err := access.OpenClientTLS(access.ClientFiles{CA: accesstest.New(t).File})
	if err != nil {
		t.Fatal(err)
	}
	secure := func() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{pair}} }
	for name, test := range map[string]struct {
		secure func() *tls.Config
		change func(f *fake, cfg *Config)
		want   string
	}{
		"no password":          {nil, func(f *fake, _ *Config) { f.secret.Store(&secret) }, "WRONGPASS"},
		"no cluster":           {nil, func(f *fake, _ *Config) { f.refuse("-ERR This instance has cluster support disabled\r\n", true) }, "cluster support disabled"},
		"an unknown authority": {secure, func(_ *fake, cfg *Config) { cfg.TLS = other }, "certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			f := startSecureFake(t, test.secure)
			cfg := begin(f)
			test.change(f, &cfg)
			s, err := Open(t.Context(), cfg)
			if err == nil {
				s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	awaitNoGoroutines(t)
}

// take has files read again, as a reload does.
func take(t *testing.T, cfg *Config) {
	t.Helper()
	for _, f := range cfg.Files() {
		put, err := f.Read()
		if err != nil {
			t.Fatal(err)
		}
		put()
	}
}

// TestReloadedFiles changes the password and the authority of a cluster: connections that come after a reload use the new ones.
func TestReloadedFiles(t *testing.T) {
	type served struct {
		authority *accesstest.Authority
		pair      tls.Certificate
	}
	issue := func() *served {
		a := accesstest.New(t)
		files := a.Issue(t, t.TempDir(), 7)
		pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
		if err != nil {
			t.Fatal(err)
		}
		return &served{a, pair}
	}
	var now atomic.Pointer[served]
	now.Store(issue())
	dir := t.TempDir()
	password, ca := filepath.Join(dir, "password"), filepath.Join(dir, "ca.pem")
	write := func(secret string) {
		t.Helper()
		text, err := os.ReadFile(now.Load().authority.File)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.WriteFile(ca, text, 0o600), os.WriteFile(password, []byte(secret+"\n"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	f := startSecureFake(t, func() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{now.Load().pair}} })
	f.answer = func([]string) (string, bool) { return written, false }
	first, second := "first", "second"
	f.secret.Store(&first)
	write(first)
	cfg, err := ParseAddress(Scheme + f.Addr().String() + ",tls,tls-ca=" + ca + ",password-file=" + password + ",timeout=5s")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := commit(s, "k"); err != nil {
		t.Fatal(err)
	}
	f.secret.Store(&second)
	now.Store(issue())
	f.hangUp()
	await(t, "the store is out", func() bool { return commit(s, "k") != nil })
	write(second)
	take(t, &cfg)
	await(t, "the store works again", func() bool { return commit(s, "k") == nil })
	if err := os.WriteFile(password, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := cfg.Password.Prepare(); err == nil {
		t.Error("an empty password was taken")
	}
	if err := commit(s, "k"); err != nil {
		t.Errorf("after a reload that failed: %v", err)
	}
}
