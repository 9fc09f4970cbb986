package node

import (
	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/server"
	"github.com/futago/futago/internal/users"
)

// openAccess reads who may use the client and the admin addresses, what they are protected with, and opens the audit log.
func (n *Node) openAccess() (err error) {
	if n.audit, err = access.OpenAudit(n.cfg.AuditLog, n.logger); err != nil {
		return err
	}
	if n.cfg.Users != "" {
		if n.users, err = users.Open(n.cfg.Users, n.logger); err != nil {
			return err
		}
		n.registry.MustRegister(n.users)
		access.WarnInClear(n.logger, n.cfg.loginsInClear()...)
	}
	files := access.TLSFiles{Cert: n.cfg.TLSCert, Key: n.cfg.TLSKey, ClientCA: n.cfg.TLSClientCA}
	if files.Cert != "" {
		if n.tls, err = access.OpenTLS(files, n.logger); err != nil {
			return err
		}
	}
	mode := n.cfg.adminTLS()
	if mode == server.NoTLS {
		return nil
	}
	to := access.ClientFiles{CA: n.cfg.AdminTLSCA}
	if mode == server.MutualTLS {
		to.Cert, to.Key = files.Cert, files.Key
	}
	n.adminTLS, err = access.OpenClientTLS(to)
	return err
}
