package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func newConfigCommand() *cobra.Command {
	cmd := asGroup(&cobra.Command{
		Use:   "config",
		Short: "Check or show a configuration, have running nodes read it again",
		Long: `Check or show the configuration of a node, a gateway or a proxy, or have running nodes read theirs again.

check and show take the same flags, variables and file as 'futago serve', or with the word gateway or
proxy as that command, and start nothing.`,
	})
	cmd.AddCommand(newConfigCheckCommand(), newConfigReloadCommand(), newConfigShowCommand())
	return cmd
}

func newConfigCheckCommand() *cobra.Command {
	check := func(use, object string, table *settings, validate func() error, warnings func() []string) *cobra.Command {
		return configCommand(&cobra.Command{
			Use:   use,
			Short: "Say everything that is wrong with the configuration of " + object,
			Long: `Say everything that is wrong with the configuration of ` + object + `: file, FUTAGO_ variables and
flags together. Nothing is opened but the file. Exit code 2 means that something is wrong. What is allowed and
hardly meant is told on standard error.`,
		}, table, validate, func(cmd *cobra.Command) error {
			for _, warning := range warnings() {
				fmt.Fprintln(cmd.ErrOrStderr(), "futago: warning:", warning)
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "ok")
			return err
		})
	}
	node, gateway := defaultServeConfig(), defaultGatewayConfig()
	cmd := check("check", "a node", serveSettings(node), node.Node.Validate, node.Node.Warnings)
	cmd.Example = `  futago config check --config /etc/futago/futago.toml
  FUTAGO_NODE=2 futago config check --config /etc/futago/futago.toml`
	none := func() []string { return nil }
	ofGateway := check("gateway", "a gateway", gatewaySettings(gateway), gateway.Gateway.Validate, none)
	ofGateway.Example = `  futago config check gateway --config /etc/futago/gateway.toml`
	proxy := defaultProxyConfig()
	ofProxy := check("proxy", "a proxy", proxySettings(proxy), proxy.Proxy.Validate, none)
	ofProxy.Example = `  futago config check proxy --config /etc/futago/proxy.toml`
	cmd.AddCommand(ofGateway, ofProxy)
	return cmd
}

func newConfigShowCommand() *cobra.Command {
	show := func(use, object string, table *settings, validate func() error) *cobra.Command {
		var asJSON bool
		cmd := configCommand(&cobra.Command{
			Use:   use,
			Short: "Print the settings in force of " + object + ", each with its source",
			Long: `Print the settings in force of ` + object + ` as TOML, each with where it came from: default, file,
variable or flag. Secrets are not printed. The output is a configuration file itself, without --json.`,
		}, table, validate, func(cmd *cobra.Command) error {
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), table.inForce())
			}
			return table.show(cmd.OutOrStdout())
		})
		cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
		return cmd
	}
	node, gateway := defaultServeConfig(), defaultGatewayConfig()
	cmd := show("show", "a node", serveSettings(node), node.Node.Validate)
	cmd.Example = `  futago config show --config /etc/futago/futago.toml
  futago config show --data none > futago.toml
  futago config show --json`
	ofGateway := show("gateway", "a gateway", gatewaySettings(gateway), gateway.Gateway.Validate)
	ofGateway.Example = `  futago config show gateway --upstream 10.0.0.1:11211 --upstream 10.0.0.2:11211`
	proxy := defaultProxyConfig()
	ofProxy := show("proxy", "a proxy", proxySettings(proxy), proxy.Proxy.Validate)
	ofProxy.Example = `  futago config show proxy --upstream 10.0.0.1:11211 --upstream 10.0.0.2:11211`
	cmd.AddCommand(ofGateway, ofProxy)
	return cmd
}

// configCommand completes a command that does something with a table of settings once it is loaded and right.
func configCommand(cmd *cobra.Command, table *settings, validate func() error, do func(*cobra.Command) error) *cobra.Command {
	cmd.Args = noWords
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := errors.Join(table.load(cmd), validate()); err != nil {
			return usageError{err}
		}
		return do(cmd)
	}
	table.bind(cmd)
	return cmd
}
