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

// deniedScript calls what its last argument says as a user of PHP's memcached who may only read.
const deniedScript = `
list(, $host, $port, $call) = $argv;
$m = new Memcached;
$m->setOption(Memcached::OPT_BINARY_PROTOCOL, true);
$m->setOption(Memcached::OPT_COMPRESSION, false);
$m->setSaslAuthData("reader", "open sesame");
$m->addServer($host, (int) $port);
$result = match ($call) {
	"set" => $m->set("shop:k", "2"),
	"add" => $m->add("shop:new", "2"),
	"append" => $m->append("shop:k", "2"),
	"increment" => $m->increment("shop:k"),
	"increment or make" => $m->increment("shop:new", 1, 5),
	"decrement" => $m->decrement("shop:k"),
	"delete" => $m->delete("shop:k"),
	"touch" => $m->touch("shop:k", 1),
	"setMulti" => $m->setMulti(["shop:k" => "2", "shop:new" => "2"]),
	"flush" => $m->flush(),
	"get elsewhere" => $m->get("other"),
};
echo json_encode($result), "|", $m->getResultMessage(), "|", json_encode($m->getMulti(["shop:k", "shop:new"])), "|", $m->getResultMessage();
`

// What a binary client has no right to fails and changes nothing, and the client goes on.
func TestRightsOfPHP(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users")
	addUser(t, users, "shop", "open sesame", "--prefix", "shop:")
	addUser(t, users, "reader", "open sesame", "--rights", "read", "--prefix", "shop:")
	n := startSingle(t, "--users="+users)
	shop := n.dial(t)
	shop.expect(t, setCommand("auth", "shop open sesame"), "STORED")
	shop.expect(t, setCommand("shop:k", "1"), "STORED")
	host, port, _ := strings.Cut(n.client, ":")
	const after = `|{"shop:k":"1"}|SUCCESS`
	for call, want := range map[string]string{
		"set": "false|", "add": "false|", "append": "false|", "increment": "false|", "increment or make": "false|", "decrement": "false|",
		"delete": "false|", "touch": "false|", "setMulti": "false|",
		"flush":         "true|SUCCESS", // libmemcached does not look at the answer
		"get elsewhere": "false|NOT FOUND",
	} {
		out, err := exec.Command("php", "-r", deniedScript, "--", host, port, call).CombinedOutput()
		if err != nil {
			t.Errorf("%s: php: %v\n%s", call, err, out)
		} else if !strings.HasPrefix(string(out), want) || !strings.HasSuffix(string(out), after) {
			t.Errorf("%s: got %s, want it to begin with %s and end with %s", call, out, want, after)
		}
	}
}

// A binary client of the field authenticates by SASL and gets its rights.
func TestSASLOfPHP(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users")
	addUser(t, users, "shop", "open sesame", "--prefix", "shop:")
	n := startSingle(t, "--users="+users)
	host, port, _ := strings.Cut(n.client, ":")
	for _, tt := range []struct{ password, begins string }{
		{"open sesame", `SUCCESS|{"a":1}|SUCCESS|UNKNOWN READ FAILURE`},
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
