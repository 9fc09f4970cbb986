module github.com/futago/futago

go 1.26.0

// What the program is made of.
require (
	github.com/BurntSushi/toml v1.6.0 // configuration file; reports unknown keys
	github.com/coreos/go-systemd/v22 v22.7.0 // systemd: readiness, watchdog, sockets that it opened
	github.com/dsnet/compress v0.0.1 // bzip2 for scripts: the standard library only reads it
	github.com/gomodule/redigo v1.9.3 // the protocol of Redis, for imports: no other module comes with it
	github.com/klauspost/compress v1.20.3 // zstd on the peer link
	github.com/prometheus/client_golang v1.25.0 // metrics as operators expect them, with the Go runtime's
	github.com/schollz/progressbar/v3 v3.19.1 // progress of tools on a terminal
	github.com/spf13/cobra v1.10.2 // command line: help, completion, man pages
	github.com/spf13/pflag v1.0.9 // cobra's flags, for the settings table
	github.com/valkey-io/valkey-go v1.0.79 // a Redis cluster as a store: finds new masters by itself, pipelines
	github.com/yuin/gopher-lua v1.1.2 // Lua 5.1, the language of Tokyo Tyrant's script extension
	github.com/zeebo/xxh3 v1.1.0 // key hash: seeded, the same after a restart
	golang.org/x/crypto v0.57.0 // bcrypt: the passwords of clients
	golang.org/x/sync v0.23.0 // a lock that waits no longer than the caller, for scripts; a bound in bytes
	golang.org/x/sys v0.49.0 // epoll, mmap, eventfd
	golang.org/x/term v0.46.0 // a password is typed without being shown
	golang.org/x/time v0.16.0 // token bucket: the pace of full copies
)

// What only tests use.
require (
	github.com/anishathalye/porcupine v1.3.1 // histories of one node are linearizable
	github.com/chromedp/cdproto v0.159.0 // console messages of the browser, with chromedp
	github.com/chromedp/chromedp v0.23.0 // the demo's page in a real browser
	github.com/cockroachdb/pebble/v2 v2.1.7 // its crashable file system, under the log's crash tests
	github.com/google/go-cmp v0.7.0 // readable differences
	github.com/rogpeppe/go-internal v1.16.0 // testscript: command-line behaviour as text
	go.uber.org/goleak v1.3.0 // no goroutine is left behind
	go.yaml.in/yaml/v3 v3.0.5 // the alerts in deploy/
	golang.org/x/perf v0.0.0-20260908200009-22c9c6c9d4da // reads benchmark results, for scripts/guard
	pgregory.net/rapid v1.3.0 // merge laws as properties, with shrinking
)

require (
	github.com/aclements/go-moremath v0.0.0-20210112150236-f10218a38794 // indirect
	github.com/beorn7/perks v1.0.1 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/cockroachdb/crlib v0.0.0-20241112164430-1264a2edc35b // indirect
	github.com/cockroachdb/errors v1.11.3 // indirect
	github.com/cockroachdb/logtags v0.0.0-20230118201751-21c54148d20b // indirect
	github.com/cockroachdb/redact v1.1.5 // indirect
	github.com/cpuguy83/go-md2man/v2 v2.0.6 // indirect
	github.com/getsentry/sentry-go v0.27.0 // indirect
	github.com/go-json-experiment/json v0.0.0-20260213210345-44df1a37e875 // indirect
	github.com/gogo/protobuf v1.3.2 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/klauspost/cpuid/v2 v2.2.10 // indirect
	github.com/kr/pretty v0.3.1 // indirect
	github.com/kr/text v0.2.0 // indirect
	github.com/mitchellh/colorstring v0.0.0-20190213212951-d06e56a500db // indirect
	github.com/munnerz/goautoneg v0.0.0-20191010083416-a7dc8b61c822 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	github.com/prometheus/client_model v0.6.3 // indirect
	github.com/prometheus/common v0.72.0 // indirect
	github.com/prometheus/procfs v0.22.0 // indirect
	github.com/rivo/uniseg v0.4.7 // indirect
	github.com/russross/blackfriday/v2 v2.1.0 // indirect
	golang.org/x/exp/typeparams v0.0.0-20231108232855-2478ac86f678 // indirect
	golang.org/x/mod v0.41.0 // indirect
	golang.org/x/telemetry v0.0.0-20260924152758-ed294f943157 // indirect
	golang.org/x/text v0.42.0 // indirect
	golang.org/x/tools v0.51.0 // indirect
	golang.org/x/vuln v1.8.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
	honnef.co/go/tools v0.8.2 // indirect
)

tool (
	golang.org/x/perf/cmd/benchstat
	golang.org/x/vuln/cmd/govulncheck
	honnef.co/go/tools/cmd/staticcheck
)
