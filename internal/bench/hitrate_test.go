package bench

import (
	"bufio"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestZipf(t *testing.T) {
	const n, draws = 1000, 200_000
	z, rng := newZipf(n, 1), rand.New(rand.NewPCG(1, 1))
	counts := make([]int, n)
	for range draws {
		counts[z.draw(rng)]++
	}
	sum := 0.0
	for i := range n {
		sum += 1 / float64(i+1)
	}
	for _, i := range []int{0, 1, 9, 99} {
		want := draws / float64(i+1) / sum
		if got := float64(counts[i]); math.Abs(got-want) > 5*math.Sqrt(want) {
			t.Errorf("key %d was drawn %v times, want about %.0f", i, got, want)
		}
	}
}

func TestReadHit(t *testing.T) {
	in := bufio.NewReader(strings.NewReader("END\r\nVALUE key-1 0 3\r\nabc\r\nEND\r\nEND\r\nSERVER_ERROR\r\n"))
	for i, want := range []bool{false, true, false} {
		if got, err := readHit(in); got != want || err != nil {
			t.Fatalf("reply %d: got %v and error %v, want %v", i, got, err, want)
		}
	}
	if _, err := readHit(in); err == nil {
		t.Error("no error for an error line")
	}
	for k := range 10_000 {
		if size := sizeOfKey(k); size < 100 || size > 1000 {
			t.Fatalf("value of key %d has %d bytes", k, size)
		}
	}
}
