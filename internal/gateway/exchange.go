package gateway

import (
	"net"
	"net/http"
	"strconv"
	"time"
)

// textType is the Content-Type of the gateway's own answers.
const textType = "text/plain; charset=utf-8"

// exchange is what is remembered of a request until it is logged and counted.
type exchange struct {
	start              time.Time
	remote             string // the client's address without its port; empty at a unix socket
	method, uri, proto string
	status             int
	bytes              int64 // of the body, as sent to the client
	tries              []attempt
	room               [2]attempt // the first tries, without an allocation
}

// attempt is one try at an upstream.
type attempt struct {
	upstream string
	status   int // 502 without an answer, 504 after a time-out
	took     time.Duration
}

func newExchange(r *http.Request) *exchange {
	ex := &exchange{start: time.Now(), method: r.Method, uri: r.RequestURI, proto: r.Proto}
	ex.tries = ex.room[:0]
	ex.remote, _, _ = net.SplitHostPort(r.RemoteAddr)
	return ex
}

func appendInt(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }
