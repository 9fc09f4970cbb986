package main

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/tyrant"
)

// ttserverKeys are the settings that options become. Those of the database have its name in front, dbname.
var ttserverKeys = map[string]string{
	"-host":         "listen",
	"-thnum":        "threads",
	"-tout":         "request-timeout",
	"-ld":           "log-level",
	"-le":           "log-level",
	"-sid":          "node",
	"-mhost":        "tyrant-master",
	"-rcc":          "tyrant-check",
	"-ext":          "script",
	"-extpc":        "script-periodic",
	"-mask":         "mask",
	"dbname":        "data",
	"dbname#capsiz": "max-memory",
	"dbname#evict":  "evict",
}

// ttserverAllow are the commands that ttserver lets clients use, and futago serve does not: who starts a server by that name
// expects them. A command of the shell, as the original takes it for copy, is not among them.
var ttserverAllow = []string{"tyrant-copy", "tyrant-restore", "tyrant-setmst", "tyrant-repl"}

// daemonPIDFile is the pid file of a daemon that was given none.
const daemonPIDFile = "ttserver.pid"

// ttserver is one command line.
type ttserver struct {
	host           string
	port           int32
	daemon, kill   bool
	pid, log       string
	sid            int64
	masterHost     string
	masterPort     int32
	mask           tyrant.Mask
	ulog           bool
	periodic       []string
	database       string
	given          map[string][]string // setting to words
	notes          []note
	problems       []error
	usageMistake   bool
	relativeByRoot []string // paths that a daemon takes from the root folder
}

// parseTTServer reads the options, and what of it is no setting. ok is false for a mistake of usage.
func parseTTServer(args []string) (o *ttserver, ok bool) {
	o = &ttserver{port: tyrantPort, masterPort: tyrantPort, database: "*", given: map[string][]string{}}
	operands, ok := parseDashed(args, o.dashOptions())
	if !ok || len(operands) > 1 || o.usageMistake {
		return nil, false
	}
	if len(operands) == 1 {
		o.database = operands[0]
	}
	if o.daemon && o.pid == "" {
		o.pid = daemonPIDFile
	}
	o.listen()
	o.identity()
	o.openDatabase()
	if o.mask != 0 {
		o.set("-mask", o.mask.String())
	}
	if o.periodic != nil {
		o.set("-extpc", o.periodic...)
	}
	o.path("-pid", o.pid)
	o.path("-log", o.log)
	return o, true
}

// set gives the setting of an option its words.
func (o *ttserver) set(option string, words ...string) { o.given[ttserverKeys[option]] = words }

func (o *ttserver) refuse(format string, args ...any) {
	o.problems = append(o.problems, fmt.Errorf(format, args...))
}

// refusal is why the server cannot be run as it was asked for.
func (o *ttserver) refusal() error { return errors.Join(o.problems...) }

// path notes a path that a daemon takes from the root folder.
func (o *ttserver) path(option, path string) {
	if path != "" && !filepath.IsAbs(path) {
		o.relativeByRoot = append(o.relativeByRoot, option+" "+path)
	}
}

func (o *ttserver) dashOptions() map[string]dashOption {
	mask := func(option, text string) tyrant.Mask {
		m, err := tyrant.ParseMask(text)
		if err != nil {
			o.warn(option, "%v; it is left out", err)
		}
		return m
	}
	return map[string]dashOption{
		"-host": wordOption(func(w string) { o.host = w }),
		"-port": wordOption(func(w string) { o.port = leadingInt32(w) }),
		"-thnum": wordOption(func(w string) {
			n := leadingInt32(w)
			o.usageMistake = o.usageMistake || n < 1
			o.set("-thnum", strconv.Itoa(int(n)))
			o.info("-thnum", "network loops; a slow client, or one that follows the log, keeps none of them busy")
		}),
		"-tout": wordOption(func(w string) {
			if seconds, err := strconv.ParseFloat(w, 64); err == nil && seconds > 0 {
				o.set("-tout", secondsDuration(seconds).String())
			}
		}),
		"-dmn":   flagOption(func() { o.daemon = true }),
		"-pid":   wordOption(func(w string) { o.pid = w }),
		"-kl":    flagOption(func() { o.kill = true }),
		"-log":   wordOption(func(w string) { o.log = w }),
		"-ld":    flagOption(func() { o.set("-ld", "debug") }),
		"-le":    flagOption(func() { o.set("-le", "error") }),
		"-ulog":  wordOption(func(string) { o.ulog = true }),
		"-ulim":  wordOption(func(string) { o.info("-ulim", "ignored: segments of the log have their own size, FUTAGO_SEGMENT_SIZE") }),
		"-uas":   flagOption(func() { o.info("-uas", "ignored: FUTAGO_FSYNC says when the log is synced") }),
		"-sid":   wordOption(func(w string) { o.sid = leadingInt(w) }),
		"-mhost": wordOption(func(w string) { o.masterHost = w }),
		"-mport": wordOption(func(w string) { o.masterPort = leadingInt32(w) }),
		"-rts":   wordOption(func(string) { o.info("-rts", "ignored: the place in the master's log is kept with the records") }),
		"-rcc":   flagOption(func() { o.set("-rcc", "true") }),
		"-skel": wordOption(func(w string) {
			o.refuse("-skel %s: there are no engines to plug in; leave it out and name a database", w)
		}),
		"-mul": wordOption(func(string) { o.info("-mul", "ignored: one folder holds all records") }),
		"-ext": wordOption(func(w string) {
			o.set("-ext", w)
			if !strings.HasPrefix(w, "@") { // the code itself
				o.path("-ext", w)
			}
		}),
		"-extpc": {2, func(w []string) {
			seconds, err := strconv.ParseFloat(w[1], 64)
			if err != nil || !(seconds > 0) {
				o.refuse("-extpc %s %s: want a period in seconds, more than 0", w[0], w[1])
				return
			}
			o.periodic = append(o.periodic, w[0]+"="+secondsDuration(seconds).String())
		}},
		"-mask":   wordOption(func(w string) { o.mask |= mask("-mask", w) }),
		"-unmask": wordOption(func(w string) { o.mask &^= mask("-unmask", w) }),
	}
}

// listen turns -host and -port into an address.
func (o *ttserver) listen() {
	switch {
	case o.port == 0 && o.host != "":
		o.set("-host", "unix:"+o.host)
		o.path("-host", o.host)
		return
	case o.port < 1:
		o.refuse("-port %d: want 1 to 65535, or 0 with the path of a socket as -host", o.port)
		return
	}
	o.set("-host", net.JoinHostPort(o.host, strconv.Itoa(int(o.port))))
	if ip := net.ParseIP(o.host); o.host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		o.warn("-host", "everybody who reaches this machine may use the server, as with ttserver: name an address, set FUTAGO_USERS, or keep it on a private network")
	}
}

// identity turns -sid, -ulog and the master into settings.
func (o *ttserver) identity() {
	switch {
	case o.sid > hlc.MaxNode:
		o.refuse("-sid %d: want 1 to %d, for that is a node's id, of which stamps have so many bits; give each server of the group another one", o.sid, hlc.MaxNode)
	case o.sid > 0:
		o.set("-sid", strconv.FormatInt(o.sid, 10))
	}
	if o.ulog {
		o.warn("-ulog", "ignored: the log in the database's folder is always on, and slaves are served from it; no files of Tokyo Tyrant's are written")
	}
	if o.masterHost == "" {
		return
	}
	if o.sid < 1 {
		o.warn("-mhost", "ignored without -sid, as ttserver does: give each server of the group another one")
		return
	}
	o.set("-mhost", net.JoinHostPort(o.masterHost, strconv.Itoa(int(o.masterPort))))
}

// configure sets config from the defaults of ttserver, the environment and the command line, the stronger after the weaker.
func (o *ttserver) configure(cmd *cobra.Command, config *serveConfig) error {
	config.Node.AdminListen = "none"
	config.Node.Allow = slices.Clone(ttserverAllow)
	config.Node.AllowOpen = []string{access.OpenClients} // as the original; the log warns
	table := serveSettings(config)
	var problems []error
	for key, words := range o.given {
		st := table.fileKey(key)
		if st == nil {
			problems = append(problems, fmt.Errorf("%s %s: this version has no such setting", key, strings.Join(words, " ")))
			continue
		}
		st.given = words
	}
	return errors.Join(append(problems, table.load(cmd), config.Node.Validate())...)
}
