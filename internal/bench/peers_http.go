package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// nginxPeer runs nginx with what is inside of its http block but for the address. one makes it a single process, otherwise
// it has a worker for each processor.
func nginxPeer(name string, one bool, conf func(dir string) string) *peer {
	return &peer{
		name: name, program: "nginx", protocol: HTTP, full: true,
		args: func(port int, dir string) []string {
			text := "daemon off;\npid " + dir + "/pid;\nworker_rlimit_nofile 20000;\n"
			if one {
				text += "master_process off;\n"
			} else {
				text += "worker_processes auto;\n"
			}
			if os.Getuid() == 0 {
				text += "user root;\n" // the folder is that of this user
			}
			text += "events { worker_connections 4096; }\nhttp {\n  access_log off;\n  keepalive_requests 1000000000;\n"
			for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
				text += fmt.Sprintf("  %s_temp_path %s/%s;\n", kind, dir, kind)
			}
			text += strings.ReplaceAll(conf(dir), "LISTEN", "listen "+at(localhost, port)+";") + "}\n"
			file := filepath.Join(dir, "nginx.conf")
			_ = os.WriteFile(file, []byte(text), 0o600) // without it nginx ends and says why
			return []string{"-e", "stderr", "-p", dir, "-c", file}
		},
	}
}

// nginxFilePeer answers every path with one file of the size of a value.
func nginxFilePeer(size int) *peer {
	return nginxPeer("nginx, a file", true, func(dir string) string {
		_ = os.WriteFile(filepath.Join(dir, "value"), []byte(strings.Repeat("0", size)), 0o600) // without it each reply is an error
		return "  open_file_cache max=10;\n  server { LISTEN root " + dir + "; location / { rewrite ^ /value break; } }\n"
	})
}

// nodes are futago nodes behind gateways. Each has all keys.
type nodes struct {
	futago    string
	addresses []string
}

// start is the preparation of a match.
func (n *nodes) start(ctx context.Context) (started processes, err error) {
	n.addresses = nil
	for range 2 {
		node, err := futagoPeer(n.futago, "").start(ctx, -1)
		if err != nil {
			return started, err
		}
		started = append(started, node)
		n.addresses = append(n.addresses, node.address)
		load := DefaultConfig()
		load.Address = node.address
		if err := fillKeys(ctx, load); err != nil {
			return started, fmt.Errorf("fill a node: %w", err)
		}
	}
	return started, nil
}

func (n *nodes) gatewayPeer() *peer {
	return &peer{
		name: "futago gateway", program: n.futago, protocol: HTTP, full: true,
		args: func(port int, _ string) []string {
			args := []string{"gateway", "--listen", at(localhost, port), "--admin-listen", "none"}
			for _, address := range n.addresses {
				args = append(args, "--upstream", address)
			}
			return args
		},
	}
}

// nginxPeer passes requests on, each on a new connection or over idle ones that it keeps.
func (n *nodes) nginxPeer(name string, keep bool) *peer {
	return nginxPeer(name, false, func(string) string {
		text := "  upstream nodes {\n"
		for _, address := range n.addresses {
			text += "    server " + address + ";\n"
		}
		if !keep {
			return text + "  }\n  server { LISTEN location / { proxy_pass http://nodes; } }\n"
		}
		return text + "    keepalive 64;\n    keepalive_requests 1000000000;\n  }\n" +
			"  server { LISTEN location / { proxy_pass http://nodes; proxy_http_version 1.1; proxy_set_header Connection \"\"; } }\n"
	})
}
