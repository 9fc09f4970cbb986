package proxy

import (
	"net"

	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/permit"
	"github.com/futago/futago/internal/users"
)

// hostOf is where a client comes from, as users take it.
func (p *Proxy) hostOf(nc net.Conn) string {
	if at := nc.RemoteAddr(); at.Network() != "unix" {
		return users.HostOf(at.String())
	}
	return p.Addr() // all who come by this socket are one
}

// locked reports whether the client must authenticate before anything else. Each request asks anew, for the file of users may
// have changed.
func (c *client) locked() bool {
	if c.users == nil {
		return false
	}
	c.user = c.users.Current(c.user)
	return c.user == nil
}

// decodeLogin is decodeText for a client that has not authenticated.
func (c *client) decodeLogin(b []byte) bool {
	r := &c.request
	n, need, err := c.decoder.DecodeAuth(b, r)
	if err == nil && r.Op == memcache.OpSet && len(c.calls) > 0 {
		c.stop = true // replies to what came before must not wait; then the request is decoded again
		return false
	}
	c.read += n
	c.need = need
	if err != nil {
		return false
	}
	c.need = 0
	if r.Op == memcache.OpError {
		c.refuse(r)
		return !c.closing
	}
	name, password, ok := memcache.SplitAuth(r.Value)
	if !ok {
		c.say(memcache.ReplyBadAuthToken)
		return true
	}
	err = c.login(name, password)
	k := c.add()
	k.reply = permit.AppendLogin(k.reply, err)
	return true
}

// login looks at a name and a password. It may block for seconds.
func (c *client) login(name, password []byte) (err error) {
	if c.user, err = c.users.Verify(c.p.logins, c.host, string(name), password); err != nil {
		c.p.log.Debug("authentication failed", "host", c.host, "user", string(name), "err", err)
	}
	return err
}

// isLogin says whether a packet may have the proxy look at a password.
func isLogin(op memcache.Opcode) bool {
	return op == memcache.OpcodeSASLAuth || op == memcache.OpcodeSASLStep
}

// authenticate appends the answer to an opcode of SASL. Without users the proxy does not know them.
func (c *client) authenticate(dst []byte, r *memcache.BinaryRequest) []byte {
	switch {
	case c.users == nil:
		return memcache.AppendBinaryError(dst, r.Echo, memcache.BinaryUnknown, "")
	case r.Op == memcache.OpcodeSASLList:
		return memcache.AppendBinaryText(dst, r.Echo, "", memcache.SASLPlain)
	}
	switch name, password, status := c.sasl.Read(r); status {
	case memcache.BinaryOK:
		return permit.AppendSASL(dst, r.Echo, c.login(name, password))
	case memcache.BinaryAuthContinue:
		return memcache.AppendBinary(dst, r.Echo, status, 0, 0, 0, 0)
	default:
		return memcache.AppendBinaryError(dst, r.Echo, status, "")
	}
}
