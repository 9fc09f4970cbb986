package front

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/addr"
	"github.com/futago/futago/internal/nearest"
	"github.com/futago/futago/internal/reload"
	"github.com/futago/futago/internal/users"
)

// AccessConfig says what protects the two addresses of a front.
type AccessConfig struct {
	// TLS are the files for addresses with the option tls; the zero value where none has it.
	TLS access.TLSFiles
	// Users is the file of users that may use the address for clients; empty lets everybody who reaches it.
	Users string
	// AdminUsers is the file of users that may use the operators' address; empty lets everybody who reaches it.
	AdminUsers string
	// MetricsOpen serves /metrics to everybody where AdminUsers says who may come.
	MetricsOpen bool
	// AuditLog is a file that gets a line for each login there; empty leaves them to the log.
	AuditLog string
	// AllowOpen are addresses that may be open to strangers, by access.OpenWords.
	AllowOpen []string
}

// tlsMode says what a listener does with TLS.
type tlsMode uint8

const (
	noTLS tlsMode = iota
	onlyTLS
	mutualTLS // and the client shows a certificate
)

// splitListen reads `ADDR[,tls|,tls=mutual]`.
func splitListen(text string) (address string, mode tlsMode, err error) {
	address, option, given := strings.Cut(text, ",")
	if _, _, err := addr.Split(address); err != nil {
		return "", 0, err
	}
	switch {
	case !given:
	case option == "tls":
		mode = onlyTLS
	case option == "tls=mutual":
		mode = mutualTLS
	default:
		err = fmt.Errorf("address %q: unknown option %q, nearest is %q", text, option, nearest.Name(option, []string{"tls", "tls=mutual"}))
	}
	return address, mode, err
}

// Problems returns what is wrong with the addresses for clients and for operators, and with what protects them. publicClients
// says that strangers are meant to reach the former.
func (c *AccessConfig) Problems(listen, adminListen string, publicClients bool) (errs []error) {
	_, clients, err := splitListen(listen)
	if err != nil {
		errs = append(errs, fmt.Errorf("listen: %w", err))
	}
	operators := noTLS
	if AdminOn(adminListen) {
		if _, operators, err = splitListen(adminListen); err != nil {
			errs = append(errs, fmt.Errorf("admin listen: %w", err))
		}
	}
	errs = append(errs, c.tlsProblems(clients != noTLS || operators != noTLS, clients == mutualTLS || operators == mutualTLS)...)
	errs = append(errs, access.OpenProblems(c.AllowOpen)...)
	if clients != mutualTLS && c.Users == "" && !publicClients {
		errs = append(errs, access.Unguarded("listen", listen, "users, or tls=mutual behind it", access.OpenClients, c.AllowOpen))
	}
	if AdminOn(adminListen) && operators != mutualTLS && c.AdminUsers == "" {
		errs = append(errs, access.Unguarded("admin-listen", adminListen, "admin-users, or tls=mutual behind it", access.OpenAdmin, c.AllowOpen))
	}
	return errs
}

func (c *AccessConfig) tlsProblems(secure, mutual bool) (errs []error) {
	switch files := c.TLS; {
	case (files.Cert == "") != (files.Key == ""):
		errs = append(errs, fmt.Errorf("tls-cert %q, tls-key %q: one is missing, set both or none", files.Cert, files.Key))
	case secure && files.Cert == "":
		errs = append(errs, errors.New("tls-cert and tls-key are not set: an address has the option tls, which needs a certificate and its key"))
	case !secure && files.Cert != "":
		errs = append(errs, fmt.Errorf("tls-cert %q: allowed is empty, for no address has the option tls", files.Cert))
	}
	if mutual != (c.TLS.ClientCA != "") {
		errs = append(errs, fmt.Errorf("tls-client-ca %q: allowed is a file where an address has the option tls=mutual, otherwise empty", c.TLS.ClientCA))
	}
	return errs
}

// Access is what an AccessConfig names, opened.
type Access struct {
	log   *slog.Logger
	tls   *access.TLS // nil: no address has the option
	audit *access.Audit
	users *users.Users // of the address for clients; nil: everybody may come
	login access.Login
}

// Open reads the files. Close must follow.
func (c *AccessConfig) Open(logger *slog.Logger) (_ *Access, err error) {
	a := &Access{log: logger}
	if a.audit, err = access.OpenAudit(c.AuditLog, logger); err != nil {
		return nil, err
	}
	a.login.Audit, a.login.MetricsOpen = a.audit, c.MetricsOpen
	if c.Users != "" {
		a.users, err = users.Open(c.Users, logger)
	}
	switch {
	case err != nil || c.AdminUsers == "":
	case c.AdminUsers == c.Users:
		a.login.Users = a.users // so that guesses at both addresses count together
	default:
		a.login.Users, err = users.Open(c.AdminUsers, logger)
	}
	if err == nil && c.TLS.Cert != "" {
		a.tls, err = access.OpenTLS(c.TLS, logger)
	}
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// Audit is the audit log.
func (a *Access) Audit() *access.Audit { return a.audit }

// TLS is that of addresses with the option; nil where none has it.
func (a *Access) TLS() *access.TLS { return a.tls }

// Users are those of the address for clients; nil where everybody may come.
func (a *Access) Users() *users.Users { return a.users }

// Collectors are the metrics of the users.
func (a *Access) Collectors() []prometheus.Collector {
	var all users.Sum
	for _, u := range []*users.Users{a.users, a.login.Users} {
		if u != nil && !slices.Contains(all, u) {
			all = append(all, u)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return []prometheus.Collector{all}
}

// Guard lets only those pass to the operators' pages who may.
func (a *Access) Guard(pages http.Handler) http.Handler { return a.login.Guard(pages) }

// Listen opens an address, and returns the TLS for its connections, nil without the option tls: the certificates are those in
// force at each handshake.
func (a *Access) Listen(text string) (net.Listener, *tls.Config, error) {
	address, mode, err := splitListen(text)
	if err != nil {
		return nil, nil, err
	}
	l, err := addr.Listen(address)
	if err != nil || mode == noTLS {
		return l, nil, err
	}
	return l, a.tls.Current(mode == mutualTLS), nil
}

// ListenAdmin opens an address whose connections have TLS already where it has the option.
func (a *Access) ListenAdmin(text string) (net.Listener, error) {
	if _, mode, err := splitListen(text); err == nil && mode == noTLS && a.login.Users != nil {
		access.WarnInClear(a.log, text)
	}
	l, config, err := a.Listen(text)
	if err != nil || config == nil {
		return l, err
	}
	return tls.NewListener(l, config), nil
}

// files are those that a reload reads again.
func (a *Access) files() (all []reload.File) {
	if a.users != nil {
		all = append(all, reload.File{Name: "users", Read: a.users.Prepare})
	}
	if a.login.Users != nil && a.login.Users != a.users {
		all = append(all, reload.File{Name: "admin users", Read: a.login.Users.Prepare})
	}
	if a.tls != nil {
		all = append(all, reload.File{Name: "certificates", Read: a.tls.Prepare})
	}
	return all
}

// Close closes the audit log.
func (a *Access) Close() error { return a.audit.Close() }

// CheckAddr takes the address of a check apart: "https://" before it asks by TLS.
func CheckAddr(check string) (address string, secure bool) {
	address, secure = strings.CutPrefix(check, "https://")
	return address, secure
}
