package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

var ttserverTool = tyrantTool{
	name:  "ttserver",
	words: ttserverUsage,
	short: "Run a node by the command line of Tokyo Tyrant's ttserver",
	long: `Run a node by the command line of Tokyo Tyrant's ttserver. A link named ttserver is the same. docs/tyrant.md says
what became of each option; what is different is logged at the start.

As the original it listens at all addresses, port 1978, asks nobody who he is, and lets clients copy, restore and follow it: keep
it on a private network. The database * is in memory, NAME.tch a folder of this name. FUTAGO_ environment variables set what
ttserver has no option for, such as FUTAGO_ADMIN_LISTEN and FUTAGO_FSYNC; 'futago serve --help' lists them.`,
	example: `  futago ttserver
  futago ttserver -host 127.0.0.1 -thnum 4 '*#capsiz=1g'
  ttserver -dmn -pid /var/ttserver/pid -log /var/ttserver/log -sid 1 /var/ttserver/casket.tch`,
	run: runTTServer,
}

const ttserverUsage = "[-host name] [-port num] [-thnum num] [-tout num] [-dmn] [-pid path] [-kl] [-log path] [-ld|-le] [-ulog path] [-ulim num] [-uas] [-sid num] " +
	"[-mhost name] [-mport num] [-rts path] [-rcc] [-skel name] [-mul num] [-ext path] [-extpc name period] [-mask expr] [-unmask expr] [dbname]"

// runTTServer serves until a signal, as the original.
func runTTServer(cmd *cobra.Command, s streams, args []string) int {
	o, ok := parseTTServer(args)
	if !ok {
		fmt.Fprintf(s.err, "ttserver: the server of Tokyo Tyrant's protocol\n\nusage:\n  ttserver %s\n\n", ttserverUsage)
		return exitFailure
	}
	err := o.refusal()
	config := defaultServeConfig()
	if err == nil {
		err = o.configure(cmd, config)
	}
	if err != nil {
		return ttserverFailed(s.err, err)
	}
	if o.daemon {
		report := daemonReport()
		if report == nil {
			if err := o.startDaemon(s.err, args); err != nil {
				return ttserverFailed(s.err, err)
			}
			return exitOK
		}
		s.err = report
		config.ready = func() { tellReady(report) }
	}
	if err := o.serve(cmd, s, config); err != nil {
		return ttserverFailed(s.err, err)
	}
	return exitOK
}

// ttserverFailed prints every problem and what to do next.
func ttserverFailed(w io.Writer, err error) int {
	for _, line := range strings.Split(err.Error(), "\n") {
		fmt.Fprintf(w, "ttserver: %s\n", line)
	}
	if hint, ok := errors.AsType[hintError](err); ok {
		fmt.Fprintln(w, hint.hint)
	}
	return exitFailure
}

// serve opens what stands around the node, and runs it.
func (o *ttserver) serve(cmd *cobra.Command, s streams, config *serveConfig) (err error) {
	if err := checkFolder(config.Node.Data); err != nil {
		return err
	}
	var log *logFile
	out := s.out
	if o.log != "" {
		if log, err = openLogFile(o.log); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, log.Close()) }()
		out = log
	}
	if o.pid != "" {
		if err := takePIDFile(o.pid, o.kill); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, dropPIDFile(o.pid)) }()
	}
	logger, _ := config.Log.newLogger(out)
	for _, n := range o.notes {
		logger.Log(cmd.Context(), n.level, "option of ttserver", "option", n.option, "meaning", n.text)
	}
	if log != nil {
		config.hangup = func() {
			if err := log.Reopen(); err != nil {
				logger.Error("log file not opened again", "err", err)
			}
		}
	}
	err = listenError(config.serve(cmd.Context(), logger), "-host and -port")
	if err != nil {
		logger.Error("ended", "err", err)
	}
	return err
}

// checkFolder refuses a database that is a file of Tokyo Cabinet's.
func checkFolder(path string) error {
	info, err := os.Stat(path)
	if err != nil || info.IsDir() {
		return nil // the node says what is wrong
	}
	return withHint(fmt.Errorf("open database %s: it is a file, and records are kept in a folder", path),
		"To take over a database of Tokyo Cabinet, let its ttserver run, give this one another name, and pipe 'tcrmgr list -pv OLD' into 'tcrmgr importtsv NEW'.")
}

// note is what the log says of an option at the start.
type note struct {
	level        slog.Level
	option, text string
}

// info and warn note what became of an option.
func (o *ttserver) info(option, format string, args ...any) {
	o.notes = append(o.notes, note{slog.LevelInfo, option, fmt.Sprintf(format, args...)})
}

func (o *ttserver) warn(option, format string, args ...any) {
	o.notes = append(o.notes, note{slog.LevelWarn, option, fmt.Sprintf(format, args...)})
}
