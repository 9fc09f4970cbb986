package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/futago/futago"
)

// adminPort is where nodes serve operators unless they are told otherwise.
const adminPort = "11280"

// withClientFile has the table read the file that all client commands share: the settings of the others may stand in it, too.
// It must be called last.
func (s *settings) withClientFile() {
	s.fileSetting = s.add("client-config", textValue(&s.file), "read settings of client commands from this TOML `FILE` (default futago/client.toml in $XDG_CONFIG_HOME or ~/.config, if it is there)")
	s.fileSetting.outsideFile = true
	s.others = &settings{}
	(&clientConfig{}).add(s.others)
	(&adminConfig{}).add(s.others)
}

// usualFile is the file that is read where none is named: "" if it is not there.
func (s *settings) usualFile() string {
	if s.others == nil {
		return ""
	}
	folder, err := os.UserConfigDir()
	if err != nil {
		return "" // nobody's home
	}
	path := filepath.Join(folder, "futago", "client.toml")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return path
}

// addrsValue is a list of addresses, of which a word may hold several with commas between.
func addrsValue(p *[]string) value {
	v := listValue(p)
	v.set = func(words []string) error {
		var all []string
		for _, word := range words {
			for addr := range strings.SplitSeq(word, ",") {
				if addr = strings.TrimSpace(addr); addr == "" {
					return fmt.Errorf("%q has an empty address: want host:port,host:port", word)
				}
				all = append(all, addr)
			}
		}
		*p = all
		return nil
	}
	return v
}

// besideClients are the admin addresses of nodes whose client addresses alone were said: the usual port of the same hosts. It is
// nil where nothing was said, or no host.
func (s *settings) besideClients(environ map[string]string) []string {
	at := slices.IndexFunc(s.others.list, func(st *setting) bool { return st.name == "addr" })
	addr := s.others.list[at]
	if addr.fromEnvironment(environ) != nil || addr.source == "default" {
		return nil
	}
	var admin []string
	for _, text := range addr.value.words() {
		host, _, err := net.SplitHostPort(clientAddr(text))
		if err != nil {
			return nil
		}
		if one := net.JoinHostPort(host, adminPort); !slices.Contains(admin, one) {
			admin = append(admin, one)
		}
	}
	return admin
}

// add puts the settings of what speaks to the client port into a table.
func (c *clientConfig) add(table *settings) {
	c.Addr, c.Timeout = []string{futago.DefaultAddr}, futago.DefaultTimeout
	table.add("addr", addrsValue(&c.Addr), "speak to the node at this `ADDR`, host:port, and to the next one if it fails; several with commas")
	table.add("timeout", durationValue(&c.Timeout), "give up waiting for a node after so long")
	c.login.add(table, "tls")
}

// add puts the settings of what speaks to the admin port into a table.
func (c *adminConfig) add(table *settings) {
	c.Admin = []string{"127.0.0.1:" + adminPort}
	c.Timeout = max(c.Timeout, time.Second)
	table.add("admin", addrsValue(&c.Admin), "ask the node whose --admin-listen is this `ADDR`; several with commas; without it, the hosts of FUTAGO_ADDR at port "+adminPort)
	table.add("timeout", durationValue(&c.Timeout), "give up waiting for an answer after so long")
	c.login.add(table, "admin-tls")
	table.add("token-file", textValue(&c.token), "authenticate by the token in the first line of this `FILE` instead")
}
