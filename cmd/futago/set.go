package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/futago/futago"
	"github.com/spf13/cobra"
)

func newSetCommand() *cobra.Command {
	return newStoreCommand(&cobra.Command{
		SuggestFor: []string{"put", "store"},
		Use:        "set KEY [VALUE|-]",
		Short:      "Store a value, whether or not the key exists",
		Long: `Store a value, whether or not the key exists. Without VALUE, or with -, the value is standard input,
byte for byte.`,
		Example: `  futago set greeting hello
  futago set session:7 "$data" --ttl 30m
  futago set photo < photo.jpg
  futago set level -- -5`,
	}, "set", (*futago.Client).Set)
}

func newAddCommand() *cobra.Command {
	return newStoreCommand(&cobra.Command{
		Use:   "add KEY [VALUE|-]",
		Short: "Store a value if the key is absent",
		Long: `Store a value if the key is absent; exit code 3 means that it exists. Without VALUE, or with -, the
value is standard input, byte for byte.`,
		Example: `  futago add lock:report "$HOSTNAME" --ttl 1m && make-report`,
	}, "add", (*futago.Client).Add)
}

// newStoreCommand completes a command that stores one value by calling store.
func newStoreCommand(cmd *cobra.Command, verb string, store func(*futago.Client, context.Context, *futago.Item) error) *cobra.Command {
	var flags uint32
	var ttl time.Duration
	config := newClientConfig(cmd)
	cmd.Flags().Uint32Var(&flags, "flags", 0, "the 32 `bits` that memcached clients keep beside a value")
	cmd.Flags().DurationVar(&ttl, "ttl", 0, "time to live, rounded up to seconds; 0 is for ever")
	cmd.Args = words(1, 2)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if ttl < 0 {
			return usageError{fmt.Errorf("--ttl %v: allowed is 0 or more", ttl)}
		}
		return config.with(cmd, func(ctx context.Context, client *futago.Client) error {
			item := &futago.Item{Key: args[0], Flags: flags, Expiration: ttl}
			if len(args) == 2 && args[1] != "-" {
				item.Value = []byte(args[1])
			} else {
				var err error
				if item.Value, err = readValue(cmd.InOrStdin(), maxClientValue); err != nil {
					return fmt.Errorf("%s %.64q: read standard input: %w", verb, item.Key, err)
				}
			}
			return absent(verb, item.Key, store(client, ctx, item))
		})
	}
	return cmd
}

// readValue reads r to its end; more than limit bytes are an error.
func readValue(r io.Reader, limit int64) ([]byte, error) {
	value, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(value)) > limit {
		err = fmt.Errorf("more than %s, the largest value of any node", formatSize(limit))
	}
	return value, err
}
