package futago

import (
	"fmt"
	"testing"
)

// BenchmarkClient measures the client with a fake server in the same process, over loopback.
func BenchmarkClient(b *testing.B) {
	for _, size := range []int{100, 10_000} {
		value := make([]byte, size)
		f := newFake()
		addr, _ := f.tcp(b)
		c := open(b, Config{Servers: []Server{{Addr: addr}}})
		b.Run(fmt.Sprintf("op=set/size=%dB", size), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				if err := c.Set(b.Context(), &Item{Key: "k", Value: value}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("op=get/size=%dB", size), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				if _, err := c.Get(b.Context(), "k"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
