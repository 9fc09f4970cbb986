package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/futago/futago/internal/users"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func newUsersCommand() *cobra.Command {
	cmd := asGroup(&cobra.Command{
		Use:   "users",
		Short: "Edit the file of users that may use a node",
		Long: `Edit the file of users that may use a node, --users. It has one user a line:

  name:HASH [rights=read,write,admin] [prefix=PREFIX]... [token=HASH]...

HASH is bcrypt's: lines of htpasswd -B do as well; ! stands for no password. A token takes the place of name
and password over HTTP. Without rights= a user may read and write, without
prefix= touch every key. Empty lines, and lines that begin with #, say nothing. A running node reads the
file again on SIGHUP.`,
	})
	cmd.AddCommand(newUsersAddCommand(), newUsersHashCommand(), newUsersListCommand(), newUsersRemoveCommand())
	return cmd
}

func newUsersAddCommand() *cobra.Command {
	var rights string
	var prefixes []string
	var replace, token bool
	cmd := &cobra.Command{
		Use:   "add FILE NAME",
		Short: "Add a user, or change one",
		Long: `Add a user to a file, which is made if need be. The password is asked for on a terminal, otherwise it is
the first line of standard input. With --replace the line of a user that is there is written anew.

With --token the user gets a token instead of a password: 256 bits made by chance, of which the file keeps
the hash. It is printed once, and sent as 'Authorization: Bearer TOKEN' over HTTP and to the admin port.`,
		Example: `  futago users add /etc/futago/users alice
  futago users add /etc/futago/users shop --prefix shop: --prefix session:
  futago users add /etc/futago/users monitor --rights read < password
  futago users add /etc/futago/users root --rights read,write,admin --replace
  futago users add /etc/futago/users prometheus --rights read --token > /etc/prometheus/futago-token`,
		Args: words(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			u := &users.User{Name: args[1], Prefixes: prefixes}
			var err error
			if u.Rights, err = users.ParseRights(rights); err != nil {
				return usageError{fmt.Errorf("--rights: %w", err)}
			}
			if err := users.CheckName(u.Name); err != nil {
				return usageError{err}
			}
			return addUser(cmd, args[0], u, replace, token)
		},
	}
	cmd.Flags().StringVar(&rights, "rights", "read,write", "what the user may do: `RIGHTS` of read, write and admin, with commas between")
	cmd.Flags().StringArrayVar(&prefixes, "prefix", nil, "keys that the user may touch begin with this `PREFIX`; may be repeated; without any, all keys")
	cmd.Flags().BoolVar(&replace, "replace", false, "change a user that is there already")
	cmd.Flags().BoolVar(&token, "token", false, "give the user a token, which is printed, instead of a password")
	return cmd
}

func addUser(cmd *cobra.Command, path string, u *users.User, replace, withToken bool) error {
	f, err := readUsersFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = &usersFile{path: path, table: new(users.Table), mode: 0o600}, nil
	}
	if err != nil {
		return err
	}
	old := f.table.User(u.Name)
	if old != nil && !replace {
		return withHint(fmt.Errorf("add user: %q stands in line %d of %s already", u.Name, old.Line, path), "Change the user with --replace, or choose another name.")
	}
	// All but the password is looked at before it is asked for.
	u.Hash = wellFormedHash
	if _, err := users.Format(u); err != nil {
		return usageError{err}
	}
	token := ""
	if withToken {
		var hash string
		token, hash = users.NewToken()
		u.Hash, u.Tokens = users.NoPassword, []string{hash}
	} else if u.Hash, err = newHash(cmd, u.Name); err != nil {
		return err
	}
	line, err := users.Format(u)
	if err != nil {
		return err
	}
	if old != nil {
		f.lines[old.Line-1] = line
	} else {
		f.lines = append(f.lines, line)
	}
	if err := f.write(); err != nil || token == "" {
		return err
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
	return err
}

// newHash asks for a password and returns its hash.
func newHash(cmd *cobra.Command, name string) (string, error) {
	password, err := newPassword(cmd, name)
	if err != nil {
		return "", err
	}
	hash, err := users.Hash(password)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return hash, nil
}

// wellFormedHash is the hash of no password: a line with it is judged for everything else.
const wellFormedHash = "$2a$10$....................................................."

func newUsersHashCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "hash",
		Short: "Print the hash of a password",
		Long: `Print the hash of a password, for the line of a user that is written by other means. The password is
asked for on a terminal, otherwise it is the first line of standard input.`,
		Example: `  futago users hash
  echo "shop:$(futago users hash < password) prefix=shop:" >> users`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			hash, err := newHash(cmd, "")
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), hash)
			return err
		},
	}
}

func newUsersListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list FILE",
		Short: "List the users of a file, and check it",
		Example: `  futago users list /etc/futago/users
  futago users list /etc/futago/users --json`,
		Args: words(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := readUsersFile(args[0])
			if err != nil {
				return err
			}
			for _, u := range f.table.List() {
				if asJSON {
					if err := writeJSONLine(cmd.OutOrStdout(), userJSON{u.Name, strings.Split(u.Rights.String(), ","), append([]string{}, u.Prefixes...), len(u.Tokens)}); err != nil {
						return err
					}
					continue
				}
				line := u.Name + "\t" + u.Rights.String()
				for _, p := range u.Prefixes {
					line += "\tprefix=" + p
				}
				if n := len(u.Tokens); n > 0 {
					line += fmt.Sprintf("\ttokens=%d", n)
				}
				if _, err := fmt.Fprintln(cmd.OutOrStdout(), line); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	return cmd
}

// userJSON is a user as `futago users list --json` prints it.
type userJSON struct {
	Name     string   `json:"name"`
	Rights   []string `json:"rights"`
	Prefixes []string `json:"prefixes"` // none: all keys
	Tokens   int      `json:"tokens"`
}

func newUsersRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "remove FILE NAME",
		Short:   "Remove a user",
		Example: `  futago users remove /etc/futago/users alice`,
		Args:    words(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := readUsersFile(args[0])
			if err != nil {
				return err
			}
			u := f.table.User(args[1])
			if u == nil {
				return answerNo{fmt.Errorf("remove user: there is no %q in %s", args[1], args[0])}
			}
			f.lines = append(f.lines[:u.Line-1], f.lines[u.Line:]...)
			return f.write()
		},
	}
}

// usersFile is a file of users that is edited: its lines stay as they are but for those of the users concerned.
type usersFile struct {
	path  string
	lines []string
	table *users.Table
	mode  fs.FileMode
	owner *syscall.Stat_t // nil for a new file
}

func readUsersFile(path string) (*usersFile, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, withHint(fmt.Errorf("read file of users: %w", err), "Name the file that --users of the node names; futago users add makes one.")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read file of users: %w", err)
	}
	table, err := users.Parse(path, text)
	if err != nil {
		return nil, err
	}
	f := &usersFile{path: path, table: table, mode: info.Mode().Perm()}
	f.owner, _ = info.Sys().(*syscall.Stat_t)
	if text = bytes.TrimSuffix(text, []byte("\n")); len(text) > 0 {
		f.lines = strings.Split(string(text), "\n")
	}
	return f, nil
}

func (f *usersFile) write() error {
	var text strings.Builder
	for _, line := range f.lines {
		text.WriteString(line + "\n")
	}
	if err := replaceFile(f.path, []byte(text.String()), f.mode); err != nil || f.owner == nil {
		return err
	}
	// The new file would be the caller's, and a node that runs as somebody else could not read it.
	if err := os.Chown(f.path, int(f.owner.Uid), int(f.owner.Gid)); err != nil {
		return fmt.Errorf("keep owner of file of users: %w", err)
	}
	return nil
}

// newPassword asks for a password twice, or reads it from what is no terminal.
func newPassword(cmd *cobra.Command, name string) ([]byte, error) {
	if f, ok := cmd.InOrStdin().(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		prompt := "Password: "
		if name != "" {
			prompt = "Password of " + name + ": "
		}
		first, err := askPassword(cmd.ErrOrStderr(), f, prompt)
		if err != nil {
			return nil, err
		}
		second, err := askPassword(cmd.ErrOrStderr(), f, "The same again: ")
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(first, second) {
			return nil, errors.New("read password: the two differ")
		}
		return first, nil
	}
	line, err := bufio.NewReaderSize(io.LimitReader(cmd.InOrStdin(), 4<<10), 4<<10).ReadBytes('\n')
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("read password: %w", err)
	}
	if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
		return nil, errors.New("read password: standard input is empty")
	}
	return line, nil
}

func askPassword(out io.Writer, terminal *os.File, prompt string) ([]byte, error) {
	fmt.Fprint(out, prompt)
	password, err := term.ReadPassword(int(terminal.Fd()))
	fmt.Fprintln(out)
	if err != nil {
		return nil, fmt.Errorf("read password: %w", err)
	}
	return password, nil
}
