package bench

import (
	"fmt"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
)

// programs are those of others that take part, with the Debian package and the option for the version; "" for none.
var programs = map[string]struct{ debian, version string }{
	"memcached":  {"memcached", "--version"},
	redisProgram: {"redis-server", "--version"},
	"nginx":      {"nginx-light", "-v"},
	"nutcracker": {"nutcracker", "--version"},
	"taskset":    {"util-linux", ""},
}

func memcachedPeer(threads int) *peer {
	return &peer{
		name: fmt.Sprintf("memcached -t %d", threads), program: "memcached", protocol: Memcache,
		args: func(port int, _ string) []string {
			args := []string{"-l", localhost, "-p", strconv.Itoa(port), "-U", "0", "-m", "1024", "-t", strconv.Itoa(threads)}
			// memcached refuses to run as root unless it is told a user.
			if u, err := user.Current(); err == nil && u.Uid == "0" {
				args = append(args, "-u", u.Username)
			}
			return args
		},
	}
}

func redisPeer() *peer {
	return &peer{
		name: "redis", program: redisProgram, protocol: Redis,
		args: func(port int, dir string) []string {
			return []string{"--bind", localhost, "--port", strconv.Itoa(port), "--save", "", "--appendonly", "no", "--dir", dir}
		},
	}
}

// futagoPeer keeps its log on, unlike the others: durability is part of the price that is compared. listen is added to the
// address, as ",tls".
func futagoPeer(program, listen string) *peer {
	return &peer{
		name: "futago", program: program, protocol: Memcache,
		args: func(port int, dir string) []string {
			return []string{"serve", "--listen", at(localhost, port) + listen, "--data", dir,
				"--admin-listen", "none", "--fsync", "interval"}
		},
	}
}

// with returns the peer with more arguments. Of an option that is given twice, the second counts.
func (p peer) with(args ...string) *peer {
	return p.withFiles(func(int, string) []string { return args })
}

// withFiles is with, for arguments that depend on the port or the folder.
func (p peer) withFiles(args func(port int, dir string) []string) *peer {
	before := p.args
	p.args = func(port int, dir string) []string { return slices.Concat(before(port, dir), args(port, dir)) }
	return &p
}

// by returns the peer as it is spoken to in another protocol.
func (p peer) by(protocol string) *peer {
	p.protocol = protocol
	return &p
}

// named returns the peer with another name.
func (p peer) named(name string) *peer {
	p.name = name
	return &p
}

// onSocket returns the peer listening on a unix socket as well. The option takes prefix and path as one word.
func (p peer) onSocket(option, prefix string) *peer {
	p.socket = true
	return p.withFiles(func(_ int, dir string) []string { return []string{option, prefix + filepath.Join(dir, socketName)} })
}
