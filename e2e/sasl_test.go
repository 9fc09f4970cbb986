//go:build e2e

package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// saslScript sets and gets with PHP's memcached, the address, the user and the password of its arguments.
const saslScript = `
list(, $host, $port, $user, $password) = $argv;
$m = new Memcached;
$m->setOption(Memcached::OPT_BINARY_PROTOCOL, true);
$m->setSaslAuthData($user, $password);
$m->addServer($host, (int) $port);
$m->set("shop:k", ["a" => 1]);
echo $m->getResultMessage(), "|", json_encode($m->get("shop:k")), "|", $m->getResultMessage(), "|";
$m->set("other", 1);
echo $m->getResultMessage();
`

// A binary client of the field authenticates by SASL and gets its rights.
func TestSASLOfPHP(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users")
	addUser(t, users, "shop", "open sesame", "--prefix", "shop:")
	n := startSingle(t, "--users="+users)
	host, port, _ := strings.Cut(n.client, ":")
	for _, tt := range []struct{ password, begins string }{
		{"open sesame", `SUCCESS|{"a":1}|SUCCESS|AUTHENTICATION FAILURE`},
		{"wrong", `AUTHENTICATION FAILURE|false|`},
	} {
		out, err := exec.Command("php", "-r", saslScript, "--", host, port, "shop", tt.password).CombinedOutput()
		if err != nil {
			t.Fatalf("php: %v\n%s", err, out)
		}
		if !strings.HasPrefix(string(out), tt.begins) {
			t.Errorf("with the password %q: got %s, want it to begin with %s", tt.password, out, tt.begins)
		}
	}
}
