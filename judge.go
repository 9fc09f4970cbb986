package futago

import (
	"strings"

	"github.com/futago/futago/internal/memcache"
)

// judge decides what an error line says. With failed, that the server does not work; the request was then not
// executed and may go elsewhere. Otherwise answer is the result of the request.
func (s *server) judge(reply *memcache.ErrorReply) (answer error, failed bool) {
	refused := &ServerError{Addr: s.Addr, Line: reply.Line}
	kind, text, _ := strings.Cut(reply.Line, " ")
	switch kind {
	case "CLIENT_ERROR":
		if reply.Line+"\r\n" == memcache.ReplyNotNumeric {
			return &notNumericError{refused}, false
		}
		return refused, false
	case "ERROR":
		// A server that does not know a command still works. PHP sees a failure in that.
		return refused, text != "" || s.client.cfg.PHPCompatible
	}
	switch {
	case strings.HasPrefix(text, "out of memory"), strings.HasPrefix(text, "object too large"):
		return refused, false
	case strings.Contains(text, "unknown") && !s.client.cfg.PHPCompatible:
		// futago with --ack=strict: applied here, not confirmed by the peer.
		return &unknownError{refused}, false
	}
	return refused, true
}
