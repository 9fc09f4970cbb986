package replication

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// LinkConfig says how the peer link is protected and packed. It must say the same on both nodes. The zero value is plain
// TCP that trusts whoever connects.
type LinkConfig struct {
	// TLSCert, TLSKey and TLSCA are PEM files: the certificate of this node with its chain, its key, and the authorities that
	// the certificate of the other node must be signed by. All three or none. They are read anew for new connections when they
	// change. The certificate is shown in both directions, so it must be good for servers and for clients.
	TLSCert, TLSKey, TLSCA string
	// TLSName is the host name or IP address that the certificate of the source must be for; "" is the host that was dialed.
	TLSName string
	// SecretFile holds a secret that both nodes know, at least 16 bytes without the white space around it; "" is none.
	SecretFile string
	// Compress packs what a source sends with zstd when both nodes have it.
	Compress bool
}

// Link makes links of connections: it checks who is at the other end and packs what flows. A nil Link is that of the zero
// LinkConfig. It may be used by several goroutines, and by a source and a puller at once.
type Link struct {
	cfg    LinkConfig
	certs  *watched[*tlsFiles] // nil: no TLS
	secret *watched[[]byte]    // nil: none
}

// OpenLink reads the files of a configuration. The error says which file is wrong, and in what.
func OpenLink(cfg LinkConfig, logger *slog.Logger) (*Link, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	l := &Link{cfg: cfg}
	var err error
	if cfg.TLSCert != "" || cfg.TLSKey != "" || cfg.TLSCA != "" {
		load := func() (*tlsFiles, error) { return loadTLS(&cfg, logger) }
		if l.certs, err = watch(logger, load, cfg.TLSCert, cfg.TLSKey, cfg.TLSCA); err != nil {
			return nil, err
		}
	}
	if cfg.SecretFile != "" {
		load := func() ([]byte, error) { return loadSecret(cfg.SecretFile, logger) }
		if l.secret, err = watch(logger, load, cfg.SecretFile); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// files returns the certificates in force, nil without TLS.
func (l *Link) files() *tlsFiles {
	if l == nil || l.certs == nil {
		return nil
	}
	return l.certs.get()
}

// key returns the shared secret, nil without one.
func (l *Link) key() []byte {
	if l == nil || l.secret == nil {
		return nil
	}
	return l.secret.get()
}

func (l *Link) offers() byte {
	if l == nil || !l.cfg.Compress {
		return 0
	}
	return offerZstd
}

// accept makes a link of a connection that was opened by whoever claims to be a follower. It takes at most the timeout,
// and a few hundred KiB. What this side refuses is a *RefusedError. On an error the caller closes raw.
func (l *Link) accept(raw net.Conn, timeout time.Duration) (*linkConn, error) {
	c := newLinkConn(raw)
	c.SetDeadline(time.Now().Add(timeout))
	if err := l.receive(c); err != nil {
		return nil, patience(err, timeout)
	}
	c.SetDeadline(time.Time{})
	return c, nil
}

func (l *Link) receive(c *linkConn) error {
	// The first byte decides, so that a client of something else is not waited for.
	var b [openingSize]byte
	if _, err := io.ReadFull(c, b[:1]); err != nil {
		return fmt.Errorf("read preamble: %w", err)
	}
	files := l.files()
	switch {
	case b[0] == tlsHandshake && files == nil:
		return c.refuse(refusedTLS)
	case b[0] == tlsHandshake:
		c.wire.head = b[:1]
		if err := c.secure(tls.Server(c.wire, files.server())); err != nil {
			c.linger() // so that the alert arrives
			return during("begin TLS", err)
		}
		if _, err := io.ReadFull(c, b[:1]); err != nil {
			return during("read preamble", err)
		}
	}
	if b[0] != preambleMagic[0] {
		return fmt.Errorf("not a follower: it began with %q: clients belong to the client port, --listen", c.glance(b[:1]))
	}
	if _, err := io.ReadFull(c, b[1:prefixSize]); err != nil {
		return fmt.Errorf("read preamble: %w", err)
	}
	version, err := decodePrefix(b[:prefixSize])
	switch {
	case err != nil:
		return fmt.Errorf("not a follower: it began with %q", b[:prefixSize])
	case version != preambleVersion:
		c.refuse(refusedVersion)
		return &RefusedError{Reason: versionReason(version)}
	}
	if _, err := io.ReadFull(c, b[prefixSize:]); err != nil {
		return fmt.Errorf("read preamble: %w", err)
	}
	o, err := decodeOpening(b[:])
	switch {
	case err != nil:
		return fmt.Errorf("read preamble: %w", err)
	case files != nil && c.tls == nil:
		return c.refuse(refusedPlain)
	}
	return l.answer(c, &o)
}

// answer checks what the follower knows and proves what this node knows.
func (l *Link) answer(c *linkConn, o *opening) error {
	key := l.key()
	switch {
	case o.Secret && key == nil:
		return c.refuse(refusedSecretExtra)
	case !o.Secret && key != nil:
		return c.refuse(refusedSecretMissing)
	}
	a := answer{Chosen: o.Offers & l.offers(), Secret: key != nil, Nonce: newNonce()}
	if _, err := c.Write(a.append(nil)); err != nil {
		return fmt.Errorf("answer preamble: %w", err)
	}
	var got [proofSize]byte
	if _, err := io.ReadFull(c, got[:]); err != nil {
		return fmt.Errorf("read proof: %w", err)
	}
	// The follower proves first: whoever just connects gets nothing to try secrets on.
	if !equalProofs(got, prove(key, roleFollower, o, &a, c.binding)) {
		c.Write((&verdict{Code: refusedSecretWrong}).append(nil))
		c.linger()
		return &RefusedError{Reason: refusedSecretWrong.reason(roleSource)}
	}
	v := verdict{Proof: prove(key, roleSource, o, &a, c.binding)}
	if _, err := c.Write(v.append(nil)); err != nil {
		return fmt.Errorf("send verdict: %w", err)
	}
	c.secret = key != nil
	if a.Chosen&offerZstd != 0 {
		c.pack()
	}
	return nil
}

// dialed makes a link of a connection to the source at addr. It takes at most the timeout. A mistake that does not go away
// by itself is a *RefusedError. On an error the caller closes raw.
func (l *Link) dialed(raw net.Conn, addr string, timeout time.Duration) (*linkConn, error) {
	c := newLinkConn(raw)
	c.SetDeadline(time.Now().Add(timeout))
	if err := l.ask(c, addr); err != nil {
		return nil, patience(err, timeout)
	}
	c.SetDeadline(time.Time{})
	return c, nil
}

func (l *Link) ask(c *linkConn, addr string) error {
	if files := l.files(); files != nil {
		name := l.cfg.TLSName
		if name == "" {
			name, _, _ = net.SplitHostPort(addr)
		}
		if err := c.secure(tls.Client(c.wire, files.client(name))); err != nil {
			return during("begin TLS", err)
		}
	}
	key := l.key()
	o := opening{Offers: l.offers(), Secret: key != nil, Nonce: newNonce()}
	if _, err := c.Write(o.append(nil)); err != nil {
		return during("send preamble", err)
	}
	a, err := readAnswer(c)
	if err != nil {
		return err
	}
	switch {
	case a.Chosen&^o.Offers != 0:
		return fmt.Errorf("%w: the source chose %#x of %#x", errPreamble, a.Chosen, o.Offers)
	case a.Secret && key == nil:
		return &RefusedError{Reason: refusedSecretMissing.reason(roleFollower)}
	case !a.Secret && key != nil:
		return &RefusedError{Reason: refusedSecretExtra.reason(roleFollower)}
	}
	proof := prove(key, roleFollower, &o, a, c.binding)
	if _, err := c.Write(proof[:]); err != nil {
		return fmt.Errorf("send proof: %w", err)
	}
	var b [verdictSize]byte
	if _, err := io.ReadFull(c, b[:]); err != nil {
		return fmt.Errorf("read verdict: %w", err)
	}
	v, err := decodeVerdict(b[:])
	switch {
	case err != nil:
		return err
	case v.Code != accepted:
		return &RefusedError{Reason: v.Code.reason(roleFollower)}
	case !equalProofs(v.Proof, prove(key, roleSource, &o, a, c.binding)):
		return &RefusedError{Reason: refusedSecretWrong.reason(roleFollower)}
	}
	c.secret = key != nil
	if a.Chosen&offerZstd != 0 {
		return c.unpack()
	}
	return nil
}

// readAnswer reads the source's part of the preamble.
func readAnswer(c *linkConn) (*answer, error) {
	var b [answerSize]byte
	if _, err := io.ReadFull(c, b[:1]); err != nil {
		return nil, during("read answer to the preamble", err)
	}
	foreign := func(head []byte) error {
		return &RefusedError{Reason: fmt.Sprintf("this is no peer port: it answered %q: --peer must be the --peer-listen of the other node", head)}
	}
	if b[0] != preambleMagic[0] {
		return nil, foreign(c.glance(b[:1]))
	}
	if _, err := io.ReadFull(c, b[1:prefixSize]); err != nil {
		return nil, fmt.Errorf("read answer to the preamble: %w", err)
	}
	version, err := decodePrefix(b[:prefixSize])
	if err != nil {
		return nil, foreign(b[:prefixSize])
	}
	if version != preambleVersion {
		return nil, &RefusedError{Reason: versionReason(version)}
	}
	if _, err := io.ReadFull(c, b[prefixSize:]); err != nil {
		return nil, fmt.Errorf("read answer to the preamble: %w", err)
	}
	a, err := decodeAnswer(b[:])
	if err != nil {
		return nil, err
	}
	if a.Code != accepted {
		return nil, &RefusedError{Reason: a.Code.reason(roleFollower)}
	}
	return &a, nil
}

// during says in what an error came; a refusal says enough by itself.
func during(what string, err error) error {
	if no := tlsRefusal(err); no != nil {
		return no
	}
	return fmt.Errorf("%s: %w", what, err)
}

// patience says how long was waited when err is the end of that.
func patience(err error, timeout time.Duration) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w: not done within %v", err, timeout)
	}
	return err
}

// secure is what a source does first with a connection; nil when it was refused, which has been logged.
func (s *Source) secure(raw net.Conn) *linkConn {
	c, err := s.cfg.Link.accept(raw, s.cfg.PeerTimeout)
	if err == nil {
		return c
	}
	if no, ok := errors.AsType[*RefusedError](err); ok {
		err = errors.New(no.Reason) // it is this node that refuses
	}
	if s.refusals.news(raw.RemoteAddr(), err) {
		s.cfg.Logger.Warn("peer connection was refused", "remote", raw.RemoteAddr().String(), "err", err)
	}
	return nil
}

// secure is what a puller does first with a connection.
func (p *Puller) secure(raw net.Conn) (*linkConn, error) {
	c, err := p.cfg.Link.dialed(raw, p.cfg.Addr, p.cfg.PeerTimeout)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.status.Link = c.String()
	p.mu.Unlock()
	return c, nil
}

// refusalPause is how long one and the same refusal is not logged again: a follower with a wrong secret tries each second.
const refusalPause = time.Minute

// refusals remembers the last refusal.
type refusals struct {
	mu   sync.Mutex
	last string
	at   time.Time
}

// news reports whether a refusal is worth a line.
func (r *refusals) news(remote net.Addr, err error) bool {
	host, _, _ := net.SplitHostPort(remote.String())
	text := strings.Join([]string{host, err.Error()}, " ")
	r.mu.Lock()
	defer r.mu.Unlock()
	if text == r.last && time.Since(r.at) < refusalPause {
		return false
	}
	r.last, r.at = text, time.Now()
	return true
}
