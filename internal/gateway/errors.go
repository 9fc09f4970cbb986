package gateway

import "errors"

var (
	// ErrUpstreamTimeout says that an upstream's header did not come within Config.UpstreamTimeout, or what was
	// left of the retry budget, or that its body paused longer than Config.BodyTimeout.
	ErrUpstreamTimeout = errors.New("upstream timed out")
	// ErrRunTwice says that Run was called a second time.
	ErrRunTwice = errors.New("gateway runs or has run already")

	// errUpgrade says that an upstream switched protocols, which nobody asked it to.
	errUpgrade = errors.New("upstream switched protocols unasked")
	// errUnasked says that an upstream closed a connection, or sent something, while no request was there.
	errUnasked = errors.New("upstream closed the connection, or spoke unasked")
	// errClientGone says that the client did not wait for its answer.
	errClientGone = errors.New("client went away")
)
