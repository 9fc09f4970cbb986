package proxy

import (
	"errors"
	"fmt"
)

var (
	// ErrRunTwice says that Run was called again.
	ErrRunTwice = errors.New("proxy runs already, or has run: make a new one")

	// errTimeout says that an upstream did not answer within its share of the timeout.
	errTimeout = errors.New("no answer in time")
	// errSlow says the same of an upstream whose bytes keep coming: its connection carries more than it can in that time
	// and the time that the bytes are granted. It is not down.
	errSlow = errors.New("no answer in time, for large replies before it")
	// errNoUpstream says that no upstream was left for a request.
	errNoUpstream = errors.New("no upstream is up")
	// errNoBinary says that an upstream does not speak the binary protocol. It works otherwise.
	errNoBinary = errors.New("upstream does not speak the binary protocol")
	// errAuth says that an upstream does not let the proxy in, for one of the two reasons that follow.
	errAuth     = errors.New("authentication failure")
	errPassword = fmt.Errorf("%w: check the proxy's upstream-user-file and the node's users", errAuth)
	errNoUser   = fmt.Errorf("%w: the node asks for a user: set upstream-user-file", errAuth)
	// errLoggedOut says that a node which took the proxy's password asks for one again: its users have changed. It has executed
	// nothing from there on.
	errLoggedOut = errors.New("the node asks for a login again")
	// errLinkEnded says that a connection ended before a request was handed to it.
	errLinkEnded = errors.New("connection ended")
	// errHoldEnded answers who names a hold that is over, or never was.
	errHoldEnded = errors.New("that hold has ended, and requests go to the upstreams that were in force: nothing was changed, hold again")
	// errHeld answers who names another hold than the one in force.
	errHeld = errors.New("another hold is in force")
	// errLease answers who asks for a hold of no such time.
	errLease = errors.New("time of a hold")
	// errList answers a switch to upstreams that cannot be.
	errList = errors.New("list of upstreams")
	// errNoneUp answers a switch to upstreams of which none answers.
	errNoneUp = errors.New("none of the new upstreams is up, nothing was changed and the hold goes on")
	// errDraining answers who wants to hold a proxy that stops.
	errDraining = errors.New("proxy stops")
	// errStopped ends the links of an upstream that is used no longer, or of a proxy that stops.
	errStopped = errors.New("connection is used no longer")
)
