package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Exit codes. The help of the root command lists them.
const (
	exitOK      = 0
	exitFailure = 1 // the operation failed
	exitUsage   = 2 // the command line or the configuration is wrong; nothing was done
	exitNo      = 3 // the node answered no: the key is absent, present already, or no number; or nodes differ
	exitDamage  = 4 // a log or backup is damaged, or does not hold all that was asked for
	// exitInterrupted is that of shells: a bench was interrupted, and printed what it had measured until then.
	exitInterrupted = 130
)

// usageError marks an error of the command line or the configuration.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// answerNo marks a refusal that scripts ask for: see exitNo.
type answerNo struct{ err error }

func (e answerNo) Error() string { return e.err.Error() }
func (e answerNo) Unwrap() error { return e.err }

// damageFound marks what exitDamage says.
type damageFound struct{ err error }

func (e damageFound) Error() string { return e.err.Error() }
func (e damageFound) Unwrap() error { return e.err }

// exitCode ends the program with a code of another program's: what there is to say was said.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// hintError carries the line that tells the user what to do next.
type hintError struct {
	err  error
	hint string
}

func (e hintError) Error() string { return e.err.Error() }
func (e hintError) Unwrap() error { return e.err }

// withHint adds what to do next to an error; nil stays nil, and so does an error with a hint: what stands nearer to the cause
// knows more.
func withHint(err error, hint string) error {
	if _, hinted := errors.AsType[hintError](err); err == nil || hinted {
		return err
	}
	return hintError{err: err, hint: hint}
}

// report prints the error of cmd, what to do next, and returns the exit code. Errors of usage get the
// name of the command in front; others say by themselves what was tried.
func report(stderr io.Writer, cmd *cobra.Command, err error) int {
	if err == nil {
		return exitOK
	}
	if code, ok := errors.AsType[exitCode](err); ok {
		return int(code)
	}
	_, isUsage := errors.AsType[usageError](err)
	prefix := "futago: "
	if isUsage && cmd.HasParent() {
		prefix += commandName(cmd) + ": "
	}
	if lines := strings.Split(err.Error(), "\n"); isUsage && len(lines) > 1 {
		fmt.Fprintf(stderr, "%s%d problems:\n", prefix, len(lines))
		for _, l := range lines {
			fmt.Fprintf(stderr, "  %s\n", l)
		}
	} else {
		fmt.Fprintf(stderr, "%s%s\n", prefix, strings.Join(lines, "; "))
	}
	if hint, ok := errors.AsType[hintError](err); ok {
		fmt.Fprintln(stderr, hint.hint)
	} else if isUsage {
		fmt.Fprintf(stderr, "Run '%s --help' for usage.\n", cmd.CommandPath())
	}
	if isUsage {
		return exitUsage
	}
	if _, ok := errors.AsType[answerNo](err); ok {
		return exitNo
	}
	if _, ok := errors.AsType[damageFound](err); ok {
		return exitDamage
	}
	return exitFailure
}

// commandName is the name of cmd without the program's.
func commandName(cmd *cobra.Command) string {
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
}

// flagError names the flag nearest to an unknown one.
func flagError(cmd *cobra.Command, err error) error {
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok && unknown.GetSpecifiedShortnames() == "" {
		var known []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
		name := unknown.GetSpecifiedName()
		if key := rareKey((&setting{name: name}).env()); key != "" {
			return usageError{fmt.Errorf("unknown flag --%s: it is a key of the configuration file only", key)}
		}
		err = fmt.Errorf("unknown flag --%s%s", name, didYouMean("--", name, known))
	}
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok && strings.Trim(unknown.GetSpecifiedShortnames(), "0123456789.") == "" {
		err = fmt.Errorf("-%s looks like a flag: put -- before it where it is an argument", unknown.GetSpecifiedShortnames())
	}
	if wrong, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		if why := wrongValue(wrong); why != "" {
			err = fmt.Errorf("--%s: %s", wrong.GetFlag().Name, why)
		}
	}
	return usageError{err}
}

// wrongValue says why a flag does not take a value, "" where the flag says it well itself.
func wrongValue(wrong *pflag.InvalidValueError) string {
	switch wrong.GetFlag().Value.Type() {
	case "duration":
		return durationValue(new(time.Duration)).set([]string{wrong.GetValue()}).Error()
	case "int", "int64":
		return fmt.Sprintf("%q is not a whole number", wrong.GetValue())
	case "uint32":
		return fmt.Sprintf("%q is not a whole number from 0 to 4294967295", wrong.GetValue())
	case "float64":
		return fmt.Sprintf("%q is not a number", wrong.GetValue())
	}
	return ""
}

// words demands from least to most arguments; most below 0 is any number.
func words(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usageError{fmt.Errorf("too few arguments: want %s", cmd.Use)}
		case most >= 0 && len(args) > most:
			return usageError{fmt.Errorf("unexpected argument %q: want %s", args[most], cmd.Use)}
		}
		return nil
	}
}

// noWords refuses every argument.
func noWords(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		if cmd.Flags().Lookup("config") != nil && len(args) == 1 {
			return usageError{fmt.Errorf("unexpected argument %q: a configuration file is given with --config", args[0])}
		}
		return usageError{fmt.Errorf("unexpected argument %q", args[0])}
	}
	return nil
}

// noWordsBut is noWords of a command that gets a file by a flag.
func noWordsBut(flag string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usageError{fmt.Errorf("unexpected argument %q: a file is given with %s", args[0], flag)}
		}
		return nil
	}
}

// groupAnnotation marks what asGroup made.
const groupAnnotation = "futago-group"

func isGroup(cmd *cobra.Command) bool {
	_, ok := cmd.Annotations[groupAnnotation]
	return ok
}

// asGroup makes cmd a name for its subcommands: alone, or with an unknown one, it is a mistake of usage.
func asGroup(cmd *cobra.Command) *cobra.Command {
	cmd.Annotations = map[string]string{groupAnnotation: ""}
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var known []string
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				known = append(known, sub.Name())
			}
		}
		if len(args) == 0 {
			return usageError{fmt.Errorf("a command is missing: one of %s", strings.Join(known, ", "))}
		}
		for _, sub := range cmd.Commands() {
			if slices.Contains(sub.SuggestFor, args[0]) {
				return usageError{fmt.Errorf("unknown command %q (did you mean %s?)", args[0], sub.CommandPath())}
			}
		}
		return usageError{fmt.Errorf("unknown command %q%s", args[0], didYouMean(cmd.CommandPath()+" ", args[0], known))}
	}
	return cmd
}
