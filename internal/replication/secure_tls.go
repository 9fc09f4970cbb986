package replication

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"
)

// tlsHandshake is the first byte of every TLS connection.
const tlsHandshake = 0x16

// tlsFiles are the contents of the certificate files.
type tlsFiles struct {
	own   tls.Certificate
	roots *x509.CertPool
}

func loadTLS(cfg *LinkConfig, logger *slog.Logger) (*tlsFiles, error) {
	var pems [3][]byte
	for i, path := range []string{cfg.TLSCert, cfg.TLSKey, cfg.TLSCA} {
		var err error
		if pems[i], err = readSmall(path, maxPEM); err != nil {
			return nil, fmt.Errorf("read certificates of the peer link: %w", err)
		}
	}
	warnReadable(cfg.TLSKey, logger)
	own, err := tls.X509KeyPair(pems[0], pems[1])
	if err != nil {
		return nil, fmt.Errorf("use certificate %s with key %s: %w", cfg.TLSCert, cfg.TLSKey, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pems[2]) {
		return nil, fmt.Errorf("read certificate authorities of the peer link from %s: no certificate in it", cfg.TLSCA)
	}
	if end := own.Leaf.NotAfter; time.Now().After(end) {
		logger.Warn("the certificate of this node has expired, its peer will refuse it", "file", cfg.TLSCert, "expired", end)
	}
	return &tlsFiles{own, roots}, nil
}

func (f *tlsFiles) server() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{f.own},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: f.roots,
		SessionTicketsDisabled: true, // a resumed session would not look at changed files
	}
}

func (f *tlsFiles) client(name string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: f.roots, ServerName: name,
		// Shown whatever authorities the source names: its refusal says more than the absence of a certificate.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &f.own, nil },
	}
}

// tlsRefusal returns the refusal in an error of TLS that will stay until somebody changes the configuration, nil for any
// other error. It is for both sides.
func tlsRefusal(err error) error {
	var verification *tls.CertificateVerificationError
	var header tls.RecordHeaderError
	var remote *net.OpError
	no := func(format string, args ...any) error { return &RefusedError{Reason: fmt.Sprintf(format, args...)} }
	switch {
	case errors.As(err, &verification):
		return no("the certificate of the peer is not accepted here: %v: %s", verification.Err, certificateAdvice(verification.Err))
	case errors.As(err, &header) && strings.HasPrefix(preambleMagic, string(header.RecordHeader[:])):
		return no("%s", refusedTLS.reason(roleFollower))
	case errors.As(err, &header):
		return no("this is no peer port with TLS: it answered %q: --peer must be the --peer-listen of the other node", header.RecordHeader)
	case errors.As(err, &remote) && remote.Op == "remote error":
		return no("the peer ended TLS: %v: %s", remote.Err, alertAdvice(remote.Err))
	}
	return nil
}

func certificateAdvice(err error) string {
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return "put the CA that signed it into the file peer-tls-ca of this node"
	case errors.As(err, new(x509.HostnameError)):
		return "set peer-tls-name to a name that is in it, or make one for the host in --peer"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "renew it on the peer, or set the clocks right"
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return "make one for both server and client authentication"
	}
	return "make another one for the peer"
}

// alertAdvice goes by the text: the type of an alert that came in is not exported.
func alertAdvice(err error) string {
	switch err.Error() {
	case "tls: expired certificate":
		return "renew the certificate of this node, peer-tls-cert"
	case "tls: unknown certificate authority":
		return "put the CA that signed the certificate of this node into the file peer-tls-ca of the peer"
	}
	return "the log and the status of the peer say why it does not accept the certificate of this node"
}
