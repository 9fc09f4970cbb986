// Command futago is a key-value server of which two equal nodes make a pair, and every tool for it.
//
// Each subcommand has a file of its own. A command that runs for long takes its settings from a table
// (settings.go), which binds one name to a flag, an environment variable and a key of the configuration
// file. Errors go to standard error, with what to do next; exit.go lists the exit codes.
package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func main() {
	os.Exit(run(argsByName(os.Args), os.Stdin, os.Stdout, os.Stderr))
}

// run executes one command line and returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteC()
	return report(stderr, cmd, err)
}

func newRootCommand() *cobra.Command {
	root := asGroup(&cobra.Command{
		Use:   "futago",
		Short: "A pair of equal key-value servers for memcached and HTTP clients",
		Long: `futago is a key-value server of which two equal nodes make a pair: both take reads and writes,
memcached and HTTP clients use the same port and find the same records, and either node may stop.

Settings come, the stronger after the weaker, from defaults, the file named by --config, FUTAGO_
environment variables and flags. --max-value, max-value = "1MiB" and FUTAGO_MAX_VALUE are one setting.

Exit codes:
  0  done
  1  the operation failed
  2  the command line or the configuration is wrong; nothing was done
  3  the node answered no: the key is absent, already present, or holds no number; or
     nodes differ
  4  a log or backup is damaged, or does not hold all that was asked for
  130 a bench was interrupted, and printed what it had measured`,
		Example: `  futago serve
  futago set greeting hello
  futago get greeting`,
		Version:       thisBuild().Version,
		SilenceErrors: true,
		SilenceUsage:  true,
	})
	root.SetVersionTemplate(thisBuild().String() + "\n")
	root.SetFlagErrorFunc(flagError)
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	root.AddCommand(
		newAddCommand(),
		newBackupCommand(),
		newBenchCommand(),
		newClockCommand(),
		newConfigCommand(),
		newConflictsCommand(),
		newDecrCommand(),
		newDeleteCommand(),
		newDemoCommand(),
		newExportCommand(),
		newGatewayCommand(),
		newGetCommand(),
		newHotCommand(),
		newImportCommand(),
		newIncrCommand(),
		newListCommand(),
		newLogCommand(),
		newManCommand(),
		newMgetCommand(),
		newMigrateCommand(),
		newPeerCommand(),
		newProxyCommand(),
		newRestoreCommand(),
		newServeCommand(),
		newSetCommand(),
		newSlowCommand(),
		newStatusCommand(),
		newTopCommand(),
		newTouchCommand(),
		newUsersCommand(),
		newVerifyCommand(),
		newVersionCommand(),
		newWatchCommand(),
	)
	for _, tool := range tyrantTools {
		root.AddCommand(tool.command())
	}
	root.InitDefaultHelpCmd()
	if help, _, err := root.Find([]string{"help"}); err == nil && help != root {
		knowTopics(help)
	}
	root.InitDefaultCompletionCmd()
	if completion, _, err := root.Find([]string{"completion"}); err == nil && completion != root {
		asGroup(completion)
	}
	return root
}

// knowTopics makes help for what is no command a mistake of usage; by itself it shows that of all commands.
func knowTopics(help *cobra.Command) {
	help.Run = nil
	help.RunE = func(cmd *cobra.Command, args []string) error {
		topic := cmd.Root()
		for _, word := range args {
			at := slices.IndexFunc(topic.Commands(), func(sub *cobra.Command) bool { return sub.Name() == word || sub.HasAlias(word) })
			if at < 0 && isGroup(topic) {
				return topic.RunE(topic, []string{word}) // it knows what may have been meant
			}
			if at < 0 {
				return usageError{fmt.Errorf("unknown command %q", strings.Join(args, " "))}
			}
			topic = topic.Commands()[at]
		}
		topic.InitDefaultHelpFlag()
		return topic.Help()
	}
}
