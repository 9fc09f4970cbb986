package main

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

const (
	// demoBasePort is the default of --base-port.
	demoBasePort = 11300
	// demoNodes is how many nodes a demo runs: ids 1 to demoNodes.
	demoNodes = 2
	// demoPortsLast is the distance of the last port from the base.
	demoPortsLast = 92
)

// demoPorts are all ports of a demo. Arrays hold node 1 at index 0.
type demoPorts struct {
	base         int
	client       [demoNodes]int
	peer         [demoNodes]int
	admin        [demoNodes]int
	page         int
	gateway      int
	gatewayAdmin int
}

func newDemoPorts(base int) (demoPorts, error) {
	if most := 65535 - demoPortsLast; base < 1 || base > most {
		return demoPorts{}, fmt.Errorf("--base-port %d: allowed is 1 to %d", base, most)
	}
	return demoPorts{
		base:   base,
		client: [demoNodes]int{base + 11, base + 12},
		peer:   [demoNodes]int{base + 13, base + 14},
		admin:  [demoNodes]int{base + 81, base + 82},
		page:   base + 80, gateway: base + 91, gatewayAdmin: base + demoPortsLast,
	}, nil
}

// demoPort is a port and what it is for.
type demoPort struct {
	port int
	use  string
}

func (p demoPorts) all() []demoPort {
	var list []demoPort
	for i := range demoNodes {
		list = append(list,
			demoPort{p.client[i], fmt.Sprintf("the clients of node %d", i+1)},
			demoPort{p.peer[i], fmt.Sprintf("the peer of node %d", i+1)},
			demoPort{p.admin[i], fmt.Sprintf("the admin port of node %d", i+1)})
	}
	return append(list,
		demoPort{p.page, "the page"},
		demoPort{p.gateway, "the gateway"},
		demoPort{p.gatewayAdmin, "the admin port of the gateway"})
}

// check finds ports that are taken before anything is started or emptied, and names all of them.
func (p demoPorts) check() error {
	var errs []error
	taken := false
	for _, port := range p.all() {
		listener, err := net.Listen("tcp", loopback(port.port))
		if err == nil {
			err = listener.Close()
		}
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			taken = true
			errs = append(errs, fmt.Errorf("port %d for %s is in use", port.port, port.use))
		case err != nil:
			errs = append(errs, fmt.Errorf("port %d for %s: %w", port.port, port.use, err))
		}
	}
	err := errors.Join(errs...)
	if taken {
		return withHint(err, fmt.Sprintf("Stop what listens there, perhaps another demo, or move all ports: futago demo --base-port %d", p.elsewhere()))
	}
	return err
}

// elsewhere is a base port whose ports overlap with none of these.
func (p demoPorts) elsewhere() int {
	if p.base+10000+demoPortsLast <= 65535 {
		return p.base + 10000
	}
	return demoBasePort
}
