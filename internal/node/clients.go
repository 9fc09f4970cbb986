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

// Reload reads the file of users, the certificates of the client and admin addresses and the script again, and opens the audit log
// again. What is wrong is logged, and stays what it was. Before Run has opened the node it does nothing.
func (n *Node) Reload() {
	if !n.opened.Load() {
		return
	}
	if n.users != nil {
		if err := n.users.Reload(); err != nil {
			n.logger.Error("users stay what they were", "err", err)
		}
	}
	if n.tls != nil {
		if err := n.tls.Reload(); err != nil {
			n.logger.Error("certificates stay what they were", "err", err)
		}
	}
	if n.adminTLS != nil {
		if err := n.adminTLS.Reload(); err != nil {
			n.logger.Error("certificates stay what they were", "err", err)
		}
	}
	if err := n.audit.Reopen(); err != nil {
		n.logger.Error("audit log stays where it was", "err", err)
	}
	if n.listening.Load() && n.script != nil {
		if err := n.script.Reload(); err != nil {
			n.logger.Error("script stays what it was", "err", err)
		} else {
			n.logger.Info("script was read again")
		}
	}
}
