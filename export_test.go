package futago

import (
	"net"
	"sync"
)

// StartFakes runs n servers in memory on free ports of the loopback interface, for examples.
func StartFakes(n int) (addrs []string, stops []func()) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		stop := newFake().accept(l)
		addrs, stops = append(addrs, l.Addr().String()), append(stops, stop)
	}
	return addrs, stops
}

// accept serves the connections of a listener until stop is called, which also closes them.
func (f *fake) accept(l net.Listener) (stop func()) {
	var running sync.WaitGroup
	running.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { f.serve(nc) })
		}
	})
	return sync.OnceFunc(func() {
		l.Close()
		f.kill()
		running.Wait()
	})
}
