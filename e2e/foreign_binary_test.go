//go:build e2e

package e2e

import "testing"

var foreignBinary = []foreignClient{
	{"php-memcache/binary", []string{"php", "php_memcache.php", "binary"}},
	{"php-memcached/binary", []string{"php", "php_memcached.php", "binary"}},
	{"libmemcached-tools/binary", []string{"./libmemcached_tools.sh", "binary"}},
	{"dalli/binary", []string{"ruby", "dalli_client.rb", "binary"}},
	{"memjs", []string{"node", "node/memjs.js"}},
}

// TestForeignBinaryClients is TestForeignClients with those that speak the binary protocol.
func TestForeignBinaryClients(t *testing.T) {
	testForeignClients(t, foreignBinary)
}
