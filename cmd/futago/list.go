package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/futago/futago/internal/listing"
	"github.com/spf13/cobra"
)

const (
	// maxKeysAnswer bounds an answer with keys, bytes: its keys in base64, the last of which may be the longest, and what stands around them.
	maxKeysAnswer = 8 << 20
	// listPage is how many keys are asked for at once.
	listPage = 5000
)

func newListCommand() *cobra.Command {
	l := &keyList{}
	var long, asJSON bool
	cmd := &cobra.Command{
		Use:        "list [PREFIX]",
		SuggestFor: []string{"ls", "keys", "scan"},
		Short:      "List keys",
		Long: `List the keys that are there, or those that begin with PREFIX, one a line, in quotes where a key is not plain
text. They come in no order, in small steps that keep no client of the node waiting; a key that is there all the
time is listed, one that comes or goes meanwhile may be.

With --limit the list ends after so many keys, or a few more, and standard error tells the cursor with which
--cursor goes on; --json tells it in a last line of its own. Any node goes on from it; at another node than the
one that told it, some keys may come again. So does the list itself when a node fails on the way.

--long puts size in bytes, flags and expiry before the key; on a terminal a line above names them. Where nodes have users only keys that the user may
read are listed. A list asks the admin port.`,
		Example: `  futago list
  futago list user: | sort
  futago list session: --long --limit 20
  futago list --json --limit 1000 --cursor "$(cat cursor)"`,
		Args: words(0, 1),
	}
	config := newAdminConfig(cmd, 10*time.Second)
	cmd.Flags().IntVar(&l.limit, "limit", 0, "end after so many keys; 0 is all")
	cmd.Flags().StringVar(&l.cursor, "cursor", "", "go on at this `PLACE`, which an earlier list told")
	cmd.Flags().BoolVarP(&long, "long", "l", false, "show size, flags and expiry too")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line; key_base64 instead of key where it is no UTF-8")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if l.limit < 0 {
			return usageError{fmt.Errorf("--limit %d: allowed is 0 or more", l.limit)}
		}
		if len(args) == 1 {
			l.prefix = args[0]
		}
		nodes, err := config.load(cmd)
		if err != nil {
			return err
		}
		ctx, stop := interruptible(cmd)
		defer stop()
		out := bufio.NewWriter(cmd.OutOrStdout())
		printKey, head := printKeyName, ""
		switch {
		case asJSON:
			printKey = printKeyJSON
		case long:
			printKey = printKeyLong
			if isTerminal(cmd.OutOrStdout()) { // programs read the lines below it
				head = fmt.Sprintf(longLine, "SIZE", "FLAGS", "EXPIRES", "KEY")
			}
		}
		err = l.run(ctx, nodes, func(keys []listing.Key) error {
			out.WriteString(head) // Flush tells what went wrong
			head = ""
			for i := range keys {
				if err := printKey(out, &keys[i]); err != nil {
					return fmt.Errorf("print keys: %w", err)
				}
			}
			return out.Flush()
		})
		if err != nil || l.cursor == "" {
			return err
		}
		if asJSON {
			return writeJSONLine(cmd.OutOrStdout(), map[string]string{"cursor": l.cursor})
		}
		_, err = fmt.Fprintf(cmd.ErrOrStderr(), "futago: there are more: --cursor %s\n", l.cursor)
		return err
	}
	return cmd
}

// keyList is a walk over keys, and how far it has come.
type keyList struct {
	prefix string
	limit  int    // 0 is none
	cursor string // where the next keys are; "" before the first and behind the last
}

// run hands all keys to show. When a node fails it goes on at the next one, until all have failed in a row.
func (l *keyList) run(ctx context.Context, nodes []*adminNode, show func(keys []listing.Key) error) error {
	shown, failed := 0, 0
	var problems []error
	for at := 0; ; {
		limit := listPage
		if l.limit > 0 {
			limit = min(limit, l.limit-shown)
		}
		query := url.Values{"prefix": {l.prefix}, "cursor": {l.cursor}, "limit": {strconv.Itoa(limit)}}
		var d listing.Document
		err := nodes[at].get(ctx, "its keys", "/keys?"+query.Encode(), maxKeysAnswer, &d)
		refusal, refused := errors.AsType[answerError](err)
		switch {
		case err != nil && ctx.Err() != nil:
			return fmt.Errorf("list keys: %w", context.Cause(ctx))
		case refused && refusal.code != http.StatusServiceUnavailable:
			return withHint(err, refusalHint(refusal.code))
		case err != nil:
			problems = append(problems, err)
			if failed++; failed == len(nodes) {
				return withHint(errors.Join(problems...), adminHint)
			}
			at = (at + 1) % len(nodes)
			continue
		}
		failed, problems = 0, nil
		if err := show(d.Keys); err != nil {
			return err
		}
		shown += len(d.Keys)
		l.cursor = d.Cursor
		if d.Cursor == "" || l.limit > 0 && shown >= l.limit {
			return nil
		}
	}
}

// refusalHint says what to do when an admin port refuses to show something.
func refusalHint(code int) string {
	switch code {
	case http.StatusUnauthorized:
		return "The node wants to know who asks: --user with --password-file or FUTAGO_PASSWORD."
	case http.StatusForbidden:
		return "The user has no right to that: futago users list FILE shows rights and prefixes, on the node's machine."
	case http.StatusNotFound:
		return "That node is of an older version: use its futago, or bring it up to date."
	case http.StatusConflict:
		return "Begin the list again, without --cursor."
	case http.StatusBadRequest:
		return "Give a cursor as a list told it, or none to begin at the start."
	}
	return "The log of that node says more."
}

func printKeyName(w io.Writer, k *listing.Key) error {
	_, err := fmt.Fprintln(w, plain(string(k.Key)))
	return err
}

// longLine is a line of the long form, of its header too.
const longLine = "%10s  %10s  %-20s  %s\n"

func printKeyLong(w io.Writer, k *listing.Key) error {
	expires := "never"
	if k.Expires != nil {
		expires = k.Expires.Format(time.RFC3339)
	}
	_, err := fmt.Fprintf(w, longLine, strconv.Itoa(k.Size), strconv.FormatUint(uint64(k.Flags), 10), expires, plain(string(k.Key)))
	return err
}

// keyJSON is a key as `futago list --json` prints it.
type keyJSON struct {
	// Key is absent where the key is no UTF-8; KeyBase64 stands for it then.
	Key       *string    `json:"key,omitempty"`
	KeyBase64 []byte     `json:"key_base64,omitempty"`
	Size      int        `json:"size"`
	Flags     uint32     `json:"flags"`
	Expires   *time.Time `json:"expires"` // null: never
	CAS       string     `json:"cas"`
}

func printKeyJSON(w io.Writer, k *listing.Key) error {
	out := keyJSON{Size: k.Size, Flags: k.Flags, Expires: k.Expires, CAS: k.Token}
	if utf8.Valid(k.Key) {
		out.Key = new(string(k.Key))
	} else {
		out.KeyBase64 = k.Key
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(out)
}
