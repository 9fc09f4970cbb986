package prefetch

import (
	"testing"
	"unsafe"
)

func TestLine(t *testing.T) {
	x := 5
	for _, p := range []unsafe.Pointer{unsafe.Pointer(&x), nil, unsafe.Add(unsafe.Pointer(&x), 1<<30)} {
		Line(p)
	}
	if x != 5 {
		t.Errorf("x is %d", x)
	}
}
