package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"
)

func newManCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write the man pages of all commands",
		Long: `Write the man pages of all commands to the folder DIR, which is made if need be, as packages install them. They
say what --help says. SOURCE_DATE_EPOCH sets their date.`,
		Example: `  futago man /usr/local/share/man/man1
  futago man man && man man/futago-serve.1`,
		Args: words(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("make folder for man pages: %w", err)
			}
			root := newRootCommand()
			asMarkdown(root)
			header := &doc.GenManHeader{Title: "FUTAGO", Section: "1", Source: "futago " + thisBuild().Version, Manual: "futago"}
			if err := doc.GenManTree(root, header, args[0]); err != nil {
				return fmt.Errorf("write man pages: %w", err)
			}
			return nil
		},
	}
}

// asMarkdown has the texts of commands mean in Markdown, which man pages are made of, what they mean as they stand.
func asMarkdown(cmd *cobra.Command) {
	cmd.DisableAutoGenTag = true // it has the day of the build
	cmd.Long = markdown(cmd.Long)
	cmd.Flags().VisitAll(func(f *pflag.Flag) { f.Usage = escapeMarkdown.Replace(f.Usage) })
	for _, sub := range cmd.Commands() {
		asMarkdown(sub)
	}
}

// escapeMarkdown keeps the signs that Markdown would take for its own. The back quotes of a flag's usage mark its value.
var escapeMarkdown = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `_`, `\_`, `<`, `\<`, `[`, `\[`, `]`, `\]`)

// markdown keeps indented lines as they are, and flowing text flowing.
func markdown(text string) string {
	var b strings.Builder
	indented := false
	for line := range strings.Lines(text) {
		switch now := strings.HasPrefix(line, "  "); {
		case now && !indented:
			b.WriteString("\n")
			fallthrough
		case now:
			b.WriteString("  " + line)
			indented = true
		case strings.TrimSpace(line) == "":
			b.WriteString("\n")
		default:
			if indented {
				b.WriteString("\n")
			}
			b.WriteString(escapeMarkdown.Replace(line))
			indented = false
		}
	}
	return b.String()
}
