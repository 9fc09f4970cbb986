package replication

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func contains(err error, text string) bool { return strings.Contains(err.Error(), text) }

// OpenLink says which file is wrong and why.
func TestOpenLinkRefuses(t *testing.T) {
	ca := newAuthority(t)
	good, second := ca.node(t, nil), ca.node(t, nil)
	change := func(f func(*LinkConfig)) LinkConfig {
		cfg := good
		f(&cfg)
		return cfg
	}
	absent := filepath.Join(t.TempDir(), "absent")
	for name, c := range map[string]struct {
		cfg  LinkConfig
		want string
	}{
		"no key file":       {change(func(c *LinkConfig) { c.TLSKey = absent }), absent},
		"no key given":      {change(func(c *LinkConfig) { c.TLSKey = "" }), "read certificates"},
		"another key":       {change(func(c *LinkConfig) { c.TLSKey = second.TLSKey }), "private key does not match"},
		"no certificate":    {change(func(c *LinkConfig) { c.TLSCert = c.TLSKey }), "use certificate"},
		"CA is no PEM":      {change(func(c *LinkConfig) { c.TLSCA = writeFile(t, "ca", "text") }), "no certificate in it"},
		"CA is endless":     {change(func(c *LinkConfig) { c.TLSCA = "/dev/zero" }), "longer than 1048576 bytes"},
		"no secret file":    {LinkConfig{SecretFile: absent}, absent},
		"short secret":      {LinkConfig{SecretFile: writeFile(t, "secret", " fifteen letters  \n")}, "has 15 bytes, at least 16"},
		"secret is a disk":  {LinkConfig{SecretFile: "/dev/zero"}, "longer than 4096 bytes"},
		"secret is a place": {LinkConfig{SecretFile: t.TempDir()}, "is a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := OpenLink(c.cfg, nil); err == nil || !contains(err, c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// A changed file is used for the next connection, a broken one is not, and that is said once.
func TestWatchedFiles(t *testing.T) {
	path := writeFile(t, "secret", "the first secret")
	var log logBuffer
	l, err := OpenLink(LinkConfig{SecretFile: path}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	want := func(secret, line string, times int) {
		t.Helper()
		for range 3 {
			if got := string(l.key()); got != secret {
				t.Fatalf("secret %q, want %q", got, secret)
			}
		}
		if got := strings.Count(log.String(), line); got != times {
			t.Fatalf("%d lines with %q, want %d: %s", got, line, times, log.String())
		}
	}
	want("the first secret", "msg", 0)
	rewrite(t, path, "the second secret\n")
	want("the second secret", "were read anew", 1)
	rewrite(t, path, "short")
	want("the second secret", "has 5 bytes", 1)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	want("the second secret", "stays in force", 2)
	rewrite(t, path, "the third, longer secret")
	want("the third, longer secret", "were read anew", 2)
}

// Certificate and key are replaced one after the other; between the two the old pair serves.
func TestWatchedCertificates(t *testing.T) {
	ca := newAuthority(t)
	cfg := ca.node(t, nil)
	l := openLink(t, cfg)
	before := l.files()
	certPEM, keyPEM := ca.issue(t, nil)
	rewrite(t, cfg.TLSCert, certPEM)
	if l.files() != before {
		t.Error("a certificate without its key is used")
	}
	rewrite(t, cfg.TLSKey, keyPEM)
	if l.files() == before {
		t.Error("the new certificate is not used")
	}
}

func TestReadableSecretsAreSaid(t *testing.T) {
	for mode, warn := range map[fs.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o604: true} {
		path := writeFile(t, "secret", "a shared secret of 16")
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		var log logBuffer
		_, err := OpenLink(LinkConfig{SecretFile: path}, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(log.String(), "can be read by other users"); got != warn {
			t.Errorf("mode %v: warned %v, want %v", mode, got, warn)
		}
	}
}
