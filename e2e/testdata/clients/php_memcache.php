<?php
// PHP's memcache extension. Arguments: ascii or binary, two addresses of one store.
[, $mode, $first, $second] = $argv;
ini_set("memcache.protocol", $mode);
error_reporting(E_ERROR);
require __DIR__ . "/check.php";

function pool(string ...$servers): MemcachePool {
	$pool = new MemcachePool;
	foreach ($servers as $server) {
		[$host, $port] = explode(":", $server);
		$pool->addServer($host, (int)$port, 0, false);
	}
	return $pool;
}
$pool = pool($first, $second);
$one = pool($first);
$other = pool($second);

same("flush", $pool->flush(), true);
same("get nothing", $pool->get("m-none"), false);

// Every type comes back as it was, at either node.
foreach (["string" => "text", "empty" => "", "int" => -42, "float" => 1.5, "true" => true,
	"array" => ["a" => [1, 2]], "object" => new ArrayObject([1])] as $name => $value) {
	same("set $name", $pool->set("m-$name", $value), true);
	same("get $name", $pool->get("m-$name"), $value);
	same("get $name at one", $one->get("m-$name"), $value);
	same("get $name at the other", $other->get("m-$name"), $value);
}

// Compression, by flag and by length.
$text = str_repeat("compress me ", 5000);
same("set compressed", $pool->set("m-packed", $text, MEMCACHE_COMPRESSED), true);
same("set long", $pool->set("m-long", $text), true);
$flags = 0;
same("get compressed", $other->get("m-packed", $flags), $text);
same("flags", $flags & 2, 2);
same("get long", $one->get("m-long", $flags), $text);
same("flags of long", $flags & 2, 2);
$big = random_bytes(900000);
same("set big", $pool->set("m-big", $big, 0x10000), true);
same("get big", $other->get("m-big", $flags) === $big, true);
same("own flag", $flags & 0x10000, 0x10000);

// Store commands.
same("add", $pool->add("m-add", "1"), true);
same("add again", $pool->add("m-add", "2"), false);
if ($mode === "ascii") {
	// In the binary protocol the extension takes this answer, of any server, for a failure of the server.
	same("replace nothing", $pool->replace("m-none", "1"), false);
}
same("replace", $pool->replace("m-add", "b"), true);
same("append", $pool->append("m-add", "c"), true);
same("prepend", $pool->prepend("m-add", "a"), true);
same("appended", $other->get("m-add"), "abc");

// Many in one call.
$many = [];
for ($i = 0; $i < 200; $i++) { $many["m-many-$i"] = "value $i"; }
same("set many", $pool->set($many, null, 0, 60), true);
$got = $pool->get(array_merge(array_keys($many), ["m-none"]));
ksort($got); ksort($many);
same("get many", $got, $many);

// Compare and swap: a token of one node holds at the other.
$cas = null; $flags = null;
$pool->set("m-cas", "a");
same("gets", $one->get("m-cas", $flags, $cas), "a");
same("cas", $other->cas("m-cas", "b", 0, 0, $cas), true);
same("old cas", $one->cas("m-cas", "c", 0, 0, $cas), false);
same("after cas", $one->get("m-cas"), "b");

// Numbers.
same("increment nothing", $pool->increment("m-none-n", 1), false);
$pool->set("m-n", 40);
same("increment", $one->increment("m-n", 3), 43);
same("decrement", $other->decrement("m-n", 1), 42);
same("number", $pool->get("m-n"), 42);
same("below zero", $pool->decrement("m-n", 100), 0);
$pool->set("m-word", "word");
same("increment a word", $pool->increment("m-word"), false);
if ($mode === "binary") {
	same("increment with initial", $one->increment("m-initial", 5, 100, 60), 100);
	same("increment again", $other->increment("m-initial", 5, 100, 60), 105);
}

// Time and deletes.
same("gone at once", $pool->set("m-gone", "x", 0, time() - 10), true);
same("get gone", $pool->get("m-gone"), false);
same("delete", $one->delete("m-add"), true);
same("get deleted", $other->get("m-add"), false);
same("delete again", $other->delete("m-add"), false);

// Bytes that a key cannot have become underscores; bytes of other alphabets stay.
same("set odd key", $pool->set("m odd\nkey", "odd"), true);
same("get odd key", $pool->get("m_odd_key"), "odd");
same("set long key", $pool->set(str_repeat("k", 300), "cut"), true);
same("get long key", $pool->get(str_repeat("k", 250)), "cut");
same("set ключ", $pool->set("ключ", "значение"), true);
same("get ключ", $other->get("ключ"), "значение");

same("version", is_string($pool->getVersion()), true);
if ($mode === "ascii") { // the extension cannot ask for them in the binary protocol
	$stats = $pool->getExtendedStats();
	same("stats", array_keys($stats), [$first, $second]);
	same("stats have an uptime", isset($stats[$first]["uptime"]), true);
}
same("flush", $one->flush(), true);
same("get flushed", $other->get("m-string"), false);
done();
