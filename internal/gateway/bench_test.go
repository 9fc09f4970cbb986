package gateway

import (
	"io"
	"net/http"
	"testing"
)

// BenchmarkForward is the whole way of a small read over loopback: client, gateway and upstream in one process.
func BenchmarkForward(b *testing.B) {
	for _, size := range []struct {
		name string
		body string
	}{{"100B", string(make([]byte, 100))}, {"1MiB", string(make([]byte, 1<<20))}} {
		b.Run("size="+size.name, func(b *testing.B) {
			up := newBackend(b, answers(200, "Content-Type: text/plain\r\n", size.body))
			f := start(b, func(cfg *Config) { cfg.AccessLog = io.Discard }, up)
			url := f.url("/count_1")
			b.SetBytes(int64(len(size.body)))
			b.ReportAllocs()
			for b.Loop() {
				resp, err := f.client.Get(url)
				if err != nil {
					b.Fatal(err)
				}
				n, err := io.Copy(io.Discard, resp.Body)
				if resp.Body.Close(); err != nil || n != int64(len(size.body)) || resp.StatusCode != http.StatusOK {
					b.Fatalf("got %d, %d bytes, %v", resp.StatusCode, n, err)
				}
			}
		})
	}
}

// BenchmarkPick is the balancer alone.
func BenchmarkPick(b *testing.B) {
	balancer, _ := testBalancer(DefaultUpstream("a:1"), DefaultUpstream("b:1"))
	b.ReportAllocs()
	for b.Loop() {
		k, _ := balancer.pick(0)
		balancer.succeed(k)
	}
}

// BenchmarkJudge is the path rules alone.
func BenchmarkJudge(b *testing.B) {
	r, err := newRules([]string{"~/count_[A-Za-z0-9_.-]+"})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, refused := r.judge("GET", "/count_key1", false); refused != nil {
			b.Fatal(refused)
		}
	}
}
