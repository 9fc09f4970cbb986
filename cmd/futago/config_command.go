package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newConfigCommand() *cobra.Command {
	cmd := asGroup(&cobra.Command{
		Use:   "config",
		Short: "Check or show the configuration of a node",
		Long: `Check or show the configuration of a node.

Both commands take the same flags, variables and file as 'futago serve', and start nothing.`,
	})
	cmd.AddCommand(newConfigCheckCommand(), newConfigShowCommand())
	return cmd
}

func newConfigCheckCommand() *cobra.Command {
	config := defaultServeConfig()
	table := serveSettings(config)
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say everything that is wrong with a configuration",
		Long: `Say everything that is wrong with a configuration: file, FUTAGO_ variables and flags together.
Nothing is opened but the file. Exit code 2 means that something is wrong.`,
		Example: `  futago config check --config /etc/futago.toml
  FUTAGO_NODE=2 futago config check --config /etc/futago.toml`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := config.load(cmd, table); err != nil {
				return err
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "ok")
			return err
		},
	}
	table.bind(cmd)
	return cmd
}

func newConfigShowCommand() *cobra.Command {
	config := defaultServeConfig()
	table := serveSettings(config)
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print the settings in force, each with its source",
		Long: `Print the settings in force as TOML, each with where it came from: default, file, variable or flag.
Secrets are not printed. The output is a configuration file itself.`,
		Example: `  futago config show --config /etc/futago.toml
  futago config show --data none > futago.toml`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := config.load(cmd, table); err != nil {
				return err
			}
			return table.show(cmd.OutOrStdout())
		},
	}
	table.bind(cmd)
	return cmd
}
