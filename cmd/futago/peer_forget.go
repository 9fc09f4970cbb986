package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/node"
	"github.com/spf13/cobra"
)

func newPeerForgetCommand() *cobra.Command {
	var yes, asJSON bool
	cmd := &cobra.Command{
		Use:   "forget NODE",
		Short: "Remove a node that will not return from the mesh",
		Long: `Remove the node with the id NODE, which is stopped and will not return, from the mesh.

The others keep what it missed for as long as it is a member: log up to --log-retain, and deletes without end.
After this they do not, and follow it no longer. The node that is asked tells all other members.

The node that was removed cannot come back with its data: it might bring back what was deleted since. With
an empty data folder it joins again as a new one. Writes that no other node has are lost with it.`,
		Example: `  futago peer forget 3
  futago peer forget 3 --admin 10.0.0.1:11280 --yes`,
		Args: words(1, 1),
	}
	config := newAdminConfig(cmd, 10*time.Second)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask; needed where no terminal is")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := strconv.Atoi(args[0])
		if err != nil || id < 1 || id > hlc.MaxNode {
			return usageError{fmt.Errorf("node %q: want its id, 1 to %d", args[0], hlc.MaxNode)}
		}
		admin, err := config.loadOne(cmd)
		if err != nil {
			return err
		}
		ask := func(question string) (bool, error) {
			in, isFile := cmd.InOrStdin().(io.Writer) // a file is both
			if !isFile || !isTerminal(in) {
				return false, usageError{errors.New("--yes is missing: without a terminal nobody can be asked")}
			}
			fmt.Fprint(cmd.ErrOrStderr(), question)
			return saysYes(cmd.InOrStdin())
		}
		if yes {
			ask = nil
		}
		done, err := forgetPeer(cmd.Context(), admin, id, ask)
		if err != nil {
			return err
		}
		return printDone(cmd.OutOrStdout(), asJSON, done, done.Result)
	}
	return cmd
}

// peerForgotten is what came of `futago peer forget`.
type peerForgotten struct {
	Admin   string `json:"admin"`
	Node    int    `json:"node"`
	Removed bool   `json:"removed"` // now; false: it was before
	Result  string `json:"result"`
}

// forgetPeer removes a member after ask, if there is one, said yes to it.
func forgetPeer(ctx context.Context, admin *adminNode, id int, ask func(question string) (bool, error)) (*peerForgotten, error) {
	s, err := admin.status(ctx)
	if err != nil {
		return nil, withHint(err, adminHint)
	}
	at := slices.IndexFunc(s.Members, func(m node.Member) bool { return m.Node == id })
	switch {
	case id == s.Node:
		return nil, withHint(fmt.Errorf("node %d is the one at %s, and cannot remove itself", id, admin.addr), "Stop it and ask another member.")
	case at < 0:
		return nil, withHint(fmt.Errorf("node %d is no member of the mesh", id), "See 'futago peer list'.")
	case s.Members[at].Gone:
		return &peerForgotten{admin.addr, id, false, fmt.Sprintf("node %d was removed before", id)}, nil
	}
	if ask != nil {
		ok, err := ask(fmt.Sprintf("Node %d (%s) will be removed from the mesh of %s.\n"+
			"It can join again only with an empty data folder; writes that no other node has are lost. Remove it? [yes/no] ",
			id, cmp.Or(s.Members[at].Addr, "address unknown"), membersText(&s)))
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, errors.New("nothing was removed")
		}
	}
	text, err := admin.do(ctx, "removal of a node", "/peers/forget?node="+url.QueryEscape(strconv.Itoa(id)))
	return &peerForgotten{admin.addr, id, true, text}, err
}

// membersText lists the present members.
func membersText(s *node.Status) string {
	ids := []int{s.Node}
	for _, m := range s.Members {
		if !m.Gone && m.Node != s.Node {
			ids = append(ids, m.Node)
		}
	}
	slices.Sort(ids)
	return nodesText(ids)
}

// nodesText names some nodes.
func nodesText(ids []int) string {
	var words []string
	for _, id := range ids {
		words = append(words, strconv.Itoa(id))
	}
	if len(ids) == 1 {
		return "node " + words[0]
	}
	return "nodes " + strings.Join(words, ", ")
}

// saysYes reads an answer.
func saysYes(r io.Reader) (bool, error) {
	line, err := bufio.NewReader(io.LimitReader(r, 64)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("read answer: %w", err)
	}
	word := strings.ToLower(strings.TrimSpace(line))
	return word == "yes" || word == "y", nil
}
