package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/futago/futago"
	"github.com/spf13/cobra"
)

func newGetCommand() *cobra.Command {
	return completeGet(&cobra.Command{
		Use:   "get KEY...",
		Short: "Print the values of keys",
		Long: `Print the values of keys.

One key: its value, byte for byte; a terminal gets a line end after it. Several keys: a line for each,
with key, tab and value, the value in quotes where it is not plain text. Exit code 3 means that a key is
absent; the others are printed all the same.`,
		Example: `  futago get greeting
  futago get photo > photo.jpg
  futago get a b c --json
  futago get greeting --addr 10.0.0.1:11211,10.0.0.2:11211`,
	}, true)
}

func newMgetCommand() *cobra.Command {
	return completeGet(&cobra.Command{
		Use:   "mget KEY...",
		Short: "Print keys with their values, a line each",
		Long: `Print keys with their values, a line for each: key, tab and value, in quotes where it is not plain text. That is
what 'futago get' prints of several keys; for scripts that do not know how many there are. Exit code 3 means that
a key is absent; the others are printed all the same.`,
		Example: `  futago mget a b c
  futago mget $(futago list user:) --json`,
	}, false)
}

// completeGet completes a command that prints values; of a single key the bare value, where raw says so.
func completeGet(cmd *cobra.Command, raw bool) *cobra.Command {
	var asJSON bool
	cmd.Args = words(1, -1)
	config := newClientConfig(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line; value_base64 instead of value where it is no UTF-8")
	cmd.RunE = func(cmd *cobra.Command, keys []string) error {
		printItem, get := printLine, getAll
		switch {
		case asJSON:
			printItem, get = printJSON, oneByOne((*futago.Client).Gets)
		case len(keys) == 1 && raw:
			printItem, get = printRaw, oneByOne((*futago.Client).Get)
		}
		return config.with(cmd, func(ctx context.Context, client *futago.Client) error {
			items, err := get(ctx, client, keys)
			if err != nil {
				return err
			}
			var problems []error
			for _, key := range keys {
				item := items[key]
				if item == nil {
					problems = append(problems, absent("get", key, futago.ErrCacheMiss))
					continue
				}
				if err := printItem(cmd.OutOrStdout(), item); err != nil {
					return fmt.Errorf("print value of %.64q: %w", key, err)
				}
			}
			return errors.Join(problems...)
		})
	}
	return cmd
}

// getAll asks for all keys at once.
func getAll(ctx context.Context, client *futago.Client, keys []string) (map[string]*futago.Item, error) {
	return client.GetMulti(ctx, keys)
}

// oneByOne asks for one key after the other.
func oneByOne(get func(*futago.Client, context.Context, string) (*futago.Item, error)) func(context.Context, *futago.Client, []string) (map[string]*futago.Item, error) {
	return func(ctx context.Context, client *futago.Client, keys []string) (map[string]*futago.Item, error) {
		items := map[string]*futago.Item{}
		for _, key := range keys {
			item, err := get(client, ctx, key)
			if err != nil && err != futago.ErrCacheMiss {
				return nil, err
			}
			if err == nil {
				items[key] = item
			}
		}
		return items, nil
	}
}

func printRaw(w io.Writer, item *futago.Item) error {
	_, err := w.Write(item.Value)
	if err == nil && isTerminal(w) {
		_, err = io.WriteString(w, "\n")
	}
	return err
}

func printLine(w io.Writer, item *futago.Item) error {
	_, err := fmt.Fprintf(w, "%s\t%s\n", plain(item.Key), plain(string(item.Value)))
	return err
}

// plain is text as it is, or quoted where a reader or a terminal would take it for something else.
func plain(text string) string {
	if !utf8.ValidString(text) {
		return strconv.Quote(text)
	}
	for i, r := range text {
		if !strconv.IsPrint(r) || i == 0 && r == '"' {
			return strconv.Quote(text)
		}
	}
	return text
}

// itemJSON is an item as `futago get --json` prints it.
type itemJSON struct {
	Key string `json:"key"`
	// Value is absent where the value is no UTF-8; ValueBase64 stands for it then.
	Value       *string `json:"value,omitempty"`
	ValueBase64 []byte  `json:"value_base64,omitempty"`
	Flags       uint32  `json:"flags"`
	// CAS is a string, because many readers of JSON lose digits of large numbers.
	CAS string `json:"cas"`
}

func printJSON(w io.Writer, item *futago.Item) error {
	out := itemJSON{Key: item.Key, Flags: item.Flags, CAS: strconv.FormatUint(item.CAS, 10)}
	if utf8.Valid(item.Value) {
		text := string(item.Value)
		out.Value = &text
	} else {
		out.ValueBase64 = item.Value
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(out)
}
