package node

import (
	"github.com/futago/futago/internal/server"
	"github.com/futago/futago/internal/users"
)

// openClients reads who may use the client addresses, and what they are protected with.
func (n *Node) openClients() (err error) {
	if n.cfg.Users != "" {
		if n.users, err = users.Open(n.cfg.Users, n.logger); err != nil {
			return err
		}
	}
	if n.cfg.TLSCert != "" {
		n.tls, err = server.OpenTLS(server.TLSFiles{Cert: n.cfg.TLSCert, Key: n.cfg.TLSKey, ClientCA: n.cfg.TLSClientCA}, n.logger)
	}
	return err
}

// Reload reads the file of users, the certificates of the client addresses and the script again. What is wrong is logged, and stays what
// it was. Before Run has opened the node it does nothing.
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
	if n.listening.Load() && n.script != nil {
		if err := n.script.Reload(); err != nil {
			n.logger.Error("script stays what it was", "err", err)
		} else {
			n.logger.Info("script was read again")
		}
	}
}
