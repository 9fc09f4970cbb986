package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/access/accesstest"
	"github.com/google/go-cmp/cmp"
)

// tlsRedis is a server with one string that speaks Redis' protocol over TLS, and wants a certificate where it should.
func tlsRedis(t *testing.T, ca *accesstest.Authority, files access.TLSFiles, mutual bool) (addr string) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: ca.Pool}
	if mutual {
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	answers := map[string]string{
		"AUTH ann secret": "+OK\r\n", "SELECT 3": "+OK\r\n", "INFO server": "$0\r\n\r\n", "DBSIZE": ":1\r\n", "SCAN 0 COUNT 1000": "*2\r\n$1\r\n0\r\n*1\r\n$1\r\nk\r\n",
		"TYPE k": "+string\r\n", "STRLEN k": ":1\r\n", "GET k": "$1\r\nv\r\n", "PTTL k": ":-1\r\n",
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for {
					var n, size int
					if _, err := fmt.Fscanf(in, "*%d\r\n", &n); err != nil {
						return
					}
					words := make([]string, n)
					for i := range words {
						if _, err := fmt.Fscanf(in, "$%d\r\n%s\r\n", &size, &words[i]); err != nil {
							return
						}
					}
					answer, ok := answers[strings.Join(words, " ")]
					if !ok {
						answer = "-ERR unknown\r\n"
					}
					if _, err := io.WriteString(c, answer); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return l.Addr().String()
}

func TestImportRedisTLS(t *testing.T) {
	ca, dir := accesstest.New(t), t.TempDir()
	files := ca.Issue(t, dir, 1)
	open, mutual := tlsRedis(t, ca, files, false), tlsRedis(t, ca, files, true)
	_, port, _ := net.SplitHostPort(open)
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	go func() {
		for {
			c, err := plain.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "-ERR Protocol error\r\n")
			c.Close()
		}
	}()
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		name, url string
		flags     []string
		code      int
		told      string // "": the record is there afterwards
	}{
		{"its authority is named", "rediss://ann:secret@" + open + "/3", []string{"--source-tls-ca", ca.File}, exitOK, ""},
		{"with the password in a file", "rediss://ann@" + open + "/3", []string{"--source-tls-ca", ca.File, "--source-password-file", password}, exitOK, ""},
		{"with a certificate", "rediss://" + mutual, []string{"--source-tls-ca", ca.File, "--source-tls-client-cert", files.Cert, "--source-tls-client-key", files.Key}, exitOK, ""},
		{"an authority that the system does not know", "rediss://" + open, nil, exitFailure, "--source-tls-ca"},
		{"another name than the certificate's", "rediss://localhost:" + port, []string{"--source-tls-ca", ca.File}, exitFailure, "as its certificate does"},
		{"without the certificate it wants", "rediss://" + mutual, []string{"--source-tls-ca", ca.File}, exitFailure, "--source-tls-client-cert"},
		{"no TLS there", "rediss://" + plain.Addr().String(), []string{"--source-tls-ca", ca.File}, exitFailure, "redis:// instead of rediss://"},
		{"half a pair", "rediss://" + mutual, []string{"--source-tls-client-cert", files.Cert}, exitUsage, "allowed is both or none"},
		{"no such file", "rediss://" + mutual, []string{"--source-tls-ca", "/none"}, exitUsage, "/none"},
		{"TLS without the scheme", "redis://" + open, []string{"--source-tls-ca", ca.File}, exitUsage, "rediss://"},
	} {
		t.Run(x.name, func(t *testing.T) {
			target := startTarget(t)
			var out, told bytes.Buffer
			code := run(append([]string{"import", x.url, "--addr", target}, x.flags...), strings.NewReader(""), &out, &told)
			if code != x.code || !strings.Contains(told.String(), x.told) {
				t.Errorf("code %d, want %d; printed %s, told %s, want %q", code, x.code, out.String(), told.String(), x.told)
			}
			want := map[string]string{}
			if x.told == "" {
				want["k"] = "v"
			}
			if diff := cmp.Diff(want, recordsOf(t, target)); diff != "" {
				t.Errorf("the records differ (-want +got):\n%s", diff)
			}
		})
	}
}
