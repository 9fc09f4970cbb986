package main

import (
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newPeerCommand() *cobra.Command {
	cmd := asGroup(&cobra.Command{
		Use:   "peer",
		Short: "List or remove the nodes of a mesh, and prepare the links between them",
	})
	cmd.AddCommand(newPeerCertsCommand(), newPeerForgetCommand(), newPeerListCommand())
	return cmd
}

func newPeerCertsCommand() *cobra.Command {
	var asJSON bool
	c := &peerCerts{dir: "futago-certs", days: 730}
	cmd := &cobra.Command{
		Use:   "certs",
		Short: "Make certificates that protect the peer link",
		Long: `Make an authority and a certificate for each node, as PEM files: ca.pem, ca-key.pem, and for each --host
HOST.pem and HOST-key.pem. Each node gets ca.pem and its own two files, for --peer-tls-ca, --peer-tls-cert and
--peer-tls-key; ca-key.pem belongs on neither of them. A HOST is the address or name by which the other node
reaches this one, its --peer; further ones for the same node follow after commas.

An authority that is in the folder already is used again, and the certificates of the hosts are replaced:
that renews them. Running nodes take new files by themselves.`,
		Example: `  futago peer certs --host 10.0.0.1 --host 10.0.0.2
  futago peer certs --dir /etc/futago/certs --host a.example,10.0.0.1 --host b.example,10.0.0.2 --days 365`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.check(); err != nil {
				return usageError{err}
			}
			made, err := c.make(time.Now())
			if asJSON || len(made) > 0 {
				files := certFiles{Dir: c.dir, Files: append([]string{}, made...)}
				err = errors.Join(err, printDone(cmd.OutOrStdout(), asJSON, files, strings.Join(made, "\n")))
			}
			return err
		},
	}
	cmd.Flags().StringVar(&c.dir, "dir", c.dir, "write the files into this `DIR`")
	cmd.Flags().StringArrayVar(&c.hosts, "host", nil, "make a certificate for this `HOST`; may be repeated")
	cmd.Flags().IntVar(&c.days, "days", c.days, "how many days the certificates of the hosts last; the authority lasts ten years")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	return cmd
}

// certFiles is what came of `futago peer certs`, also when it could not make all.
type certFiles struct {
	Dir   string   `json:"dir"`
	Files []string `json:"files"` // that were written
}
