package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/front"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// upstreamsValue is a list of the upstreams of a gateway or a proxy in their text form, which parse reads and String writes.
func upstreamsValue[U fmt.Stringer](p *[]U, parse func(string) (U, error)) value {
	return value{
		kind: "text",
		list: true,
		set: func(words []string) error {
			*p = nil
			var errs []error
			for _, w := range words {
				u, err := parse(w)
				if err != nil {
					// With its address alone it still counts as one, so that nothing is said of it twice.
					errs = append(errs, err)
					address, _, _ := strings.Cut(w, ",")
					u, err = parse(address)
				}
				if err == nil {
					*p = append(*p, u)
				}
			}
			return errors.Join(errs...)
		},
		words: func() []string {
			var words []string
			for _, u := range *p {
				words = append(words, u.String())
			}
			return words
		},
	}
}

// newRegistry returns a registry of metrics that has those of the process already.
func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// addAccessSettings adds what protects the addresses of a gateway or a proxy.
func addAccessSettings(s *settings, c *front.AccessConfig) {
	s.add("tls-cert", textValue(&c.TLS.Cert), "show the certificate in this PEM `FILE` at addresses with the option tls; SIGHUP reads it again")
	s.add("tls-key", textValue(&c.TLS.Key), "the key of that certificate, a PEM `FILE`")
	s.add("tls-client-ca", textValue(&c.TLS.ClientCA), "accept those at addresses with tls=mutual whose certificate is signed by an authority in this PEM `FILE`")
	s.add("admin-users", textValue(&c.AdminUsers), "let only the users in this `FILE` with the right read or admin use --admin-listen; futago users makes it, SIGHUP reads it again")
	s.add("metrics-open", boolValue(&c.MetricsOpen), "serve /metrics there to everybody all the same")
	s.add("audit-log", textValue(&c.AuditLog), "append a line for each login there to this `FILE` as well; SIGHUP opens it again")
	s.add("allow-open", listValue(&c.AllowOpen), "say that strangers may reach these `ADDRESSES` without a login: clients, admin, or all; otherwise such a process does not start")
}

// upstreamTLS opens what a front trusts and shows to the servers behind it: check for checks by https://, to for all the rest, nil
// when TLS is not asked for.
func (c *tlsConfig) upstreamTLS() (to, check *access.ClientTLS, err error) {
	if check, err = c.open("upstream-tls"); err != nil || !c.asked() {
		return nil, check, err
	}
	return check, check, nil
}
