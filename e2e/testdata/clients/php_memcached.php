<?php
// PHP's memcached extension (libmemcached). Arguments: text or binary, two addresses of one store.
[, $mode, $first, $second] = $argv;
error_reporting(E_ERROR);
require __DIR__ . "/check.php";
$binary = $mode === "binary";

function pool(array $options, string ...$servers): Memcached {
	global $binary;
	$pool = new Memcached;
	$pool->setOptions([Memcached::OPT_BINARY_PROTOCOL => $binary, Memcached::OPT_TCP_NODELAY => true] + $options);
	foreach ($servers as $server) {
		[$host, $port] = explode(":", $server);
		$pool->addServer($host, (int)$port);
	}
	return $pool;
}
function code(string $what, Memcached $pool, int $want): void {
	same("$what: result code (" . $pool->getResultMessage() . ")", $pool->getResultCode(), $want);
}
$pool = pool([], $first, $second);
$one = pool([], $first);
$other = pool([], $second);

same("flush", $one->flush(), true);
same("get nothing", $pool->get("d-none"), false);
code("get nothing", $pool, Memcached::RES_NOTFOUND);
foreach (["string" => "text", "empty" => "", "int" => -42, "float" => 1.5, "true" => true, "null" => null,
	"array" => ["a" => [1, 2]], "object" => new ArrayObject([1])] as $name => $value) {
	same("set $name", $pool->set("d-$name", $value), true);
	same("get $name", $pool->get("d-$name"), $value);
	same("get $name at one", $one->get("d-$name"), $value);
	same("get $name at the other", $other->get("d-$name"), $value);
}

// Every serializer, every compression, every distribution and hash.
$value = ["text" => str_repeat("compress me ", 2000), "number" => 7];
foreach ([Memcached::SERIALIZER_PHP, Memcached::SERIALIZER_IGBINARY, Memcached::SERIALIZER_JSON_ARRAY, Memcached::SERIALIZER_MSGPACK] as $serializer) {
	foreach ([Memcached::COMPRESSION_FASTLZ, Memcached::COMPRESSION_ZLIB, null] as $compression) {
		$options = [Memcached::OPT_SERIALIZER => $serializer, Memcached::OPT_COMPRESSION => $compression !== null];
		if ($compression !== null) { $options[Memcached::OPT_COMPRESSION_TYPE] = $compression; }
		$p = pool($options, $first, $second);
		$what = "serializer $serializer, compression " . var_export($compression, true);
		same("$what: set", $p->set("d-packed", $value), true);
		same("$what: get", $p->get("d-packed"), $value);
		same("$what: get at the other", pool($options, $second)->get("d-packed"), $value);
	}
}
foreach ([
	"modula" => [], "consistent" => [Memcached::OPT_DISTRIBUTION => Memcached::DISTRIBUTION_CONSISTENT],
	"ketama" => [Memcached::OPT_LIBKETAMA_COMPATIBLE => true],
	"ketama with crc" => [Memcached::OPT_LIBKETAMA_COMPATIBLE => true, Memcached::OPT_HASH => Memcached::HASH_CRC],
	"prefix" => [Memcached::OPT_PREFIX_KEY => "prefix:"],
	"no block" => [Memcached::OPT_NO_BLOCK => true],
	"verify" => [Memcached::OPT_VERIFY_KEY => true],
] as $name => $options) {
	$p = pool($options, $first, $second);
	$many = [];
	for ($i = 0; $i < 100; $i++) { $many["d-$name-$i"] = "value $i"; }
	$many = str_contains($name, " ") ? array_combine(array_map(fn($k) => strtr($k, " ", "_"), array_keys($many)), $many) : $many;
	same("$name: set many", $p->setMulti($many, 60), true);
	same("$name: get many", $p->getMulti(array_merge(array_keys($many), ["d-none"]), Memcached::GET_PRESERVE_ORDER), $many + ["d-none" => null]);
	same("$name: get many at the other", count(pool($options, $second)->getMulti(array_keys($many))), 100);
	$deleted = $p->deleteMulti(array_keys($many));
	same("$name: delete many", array_filter($deleted, fn($ok) => $ok !== true), []);
	same("$name: get deleted", $p->getMulti(array_keys($many)), []);
}

// Compare and swap: a token of one node holds at the other.
$pool->set("d-cas", "a");
$got = $one->get("d-cas", null, Memcached::GET_EXTENDED);
same("cas", $other->cas($got["cas"], "d-cas", "b"), true);
same("old cas", $one->cas($got["cas"], "d-cas", "c"), false);
code("old cas", $one, Memcached::RES_DATA_EXISTS);
same("cas of nothing", $one->cas($got["cas"], "d-none", "c"), false);
code("cas of nothing", $one, Memcached::RES_NOTFOUND);
same("after cas", $other->get("d-cas"), "b");
$got = $pool->get("d-made", fn($memcached, $key, &$value) => $value = "made by the callback");
same("read-through", $other->get("d-made"), "made by the callback");

// Store commands.
$plain = pool([Memcached::OPT_COMPRESSION => false], $first, $second);
same("add", $plain->add("d-add", "1"), true);
same("add again", $plain->add("d-add", "2"), false);
code("add again", $plain, $binary ? Memcached::RES_DATA_EXISTS : Memcached::RES_NOTSTORED);
same("replace nothing", $plain->replace("d-none", "1"), false);
same("replace", $plain->replace("d-add", "b"), true);
same("append", $plain->append("d-add", "c"), true);
same("prepend", $plain->prepend("d-add", "a"), true);
same("append to nothing", $plain->append("d-none", "c"), false);
same("appended", $other->get("d-add"), "abc");
same("set flags", pool([Memcached::OPT_USER_FLAGS => 0xABCD], $first)->set("d-flags", "x"), true);
same("flags", $other->get("d-flags", null, Memcached::GET_EXTENDED)["flags"], 0xABCD);
$big = random_bytes(900000);
same("set big", $plain->set("d-big", $big), true);
same("get big", $other->get("d-big") === $big, true);

// Numbers.
same("increment nothing", $pool->increment("d-none-n"), false);
$pool->set("d-n", 40);
same("increment", $one->increment("d-n", 3), 43);
same("decrement", $other->decrement("d-n", 1), 42);
same("number", $pool->get("d-n"), 42);
same("below zero", $pool->decrement("d-n", 100), 0);
$pool->set("d-word", "word");
same("increment a word", $pool->increment("d-word"), false);
// With an initial value; the text protocol has none, and the extension says so.
same("increment with initial", $one->increment("d-initial", 5, 100, 60), $binary ? 100 : false);
same("increment again", $other->increment("d-initial", 5, 100, 60), $binary ? 105 : false);

// Time and deletes.
same("gone at once", $pool->set("d-gone", "x", time() - 10), true);
same("get gone", $pool->get("d-gone"), false);
$pool->set("d-touched", "x", 60);
same("touch", $one->touch("d-touched", 600), true);
same("touch to the past", $one->touch("d-touched", time() - 10), true);
same("get touched", $other->get("d-touched"), false);
same("touch nothing", $pool->touch("d-none", 60), false);
same("delete", $one->delete("d-add"), true);
same("get deleted", $other->get("d-add"), false);
same("delete again", $other->delete("d-add"), false);
code("delete again", $other, Memcached::RES_NOTFOUND);

// Delayed gets.
$many = [];
for ($i = 0; $i < 50; $i++) { $many["d-later-$i"] = "value $i"; }
$pool->setMulti($many);
same("get delayed", $pool->getDelayed(array_keys($many), true), true);
$got = [];
while ($item = $pool->fetch()) { $got[$item["key"]] = $item["value"]; }
ksort($got); ksort($many);
same("fetch", $got, $many);
same("get delayed", $other->getDelayed(array_keys($many)), true);
same("fetch all", count($other->fetchAll()), 50);

// Buffered writes leave in one piece, with the next read.
$buffered = pool([Memcached::OPT_BUFFER_WRITES => true, Memcached::OPT_NO_BLOCK => true], $first, $second);
for ($i = 0; $i < 500; $i++) { $buffered->set("d-buffered-$i", "value $i"); }
same("read behind buffered writes", $buffered->get("d-buffered-499"), "value 499");
same("flush buffers", $buffered->flushBuffers(), true);
same("buffered", count($other->getMulti(array_map(fn($i) => "d-buffered-$i", range(0, 499)))), 500);

// Writes without replies: what is read behind them on the connection is what they wrote.
$silent = pool([Memcached::OPT_NOREPLY => true], $first);
for ($i = 0; $i < 200; $i++) {
	$silent->set("d-silent", "value $i");
	if ($i % 20 === 0) { same("read behind a silent write", $silent->get("d-silent"), "value $i"); }
}
$silent->set("d-silent-n", 1); $silent->increment("d-silent-n", 4);
$silent->set("d-silent-gone", 1); $silent->delete("d-silent-gone");
same("read behind a silent delete", $silent->get("d-silent-gone"), false);

// memcached tells its keys when they have been there for a while, and only what fits into 2 MiB. In the
// binary protocol, and of the proxy, nobody can ask.
$one->set("d-listed", 1); $other->set("d-listed-too", "x");
$lists = !$binary && getenv("STATS") !== "proxy";
for ($tries = 0; $tries < 30; $tries++) {
	$keys = $one->getAllKeys();
	if (!$lists || count(array_intersect(["d-listed", "d-listed-too"], $keys ?: [])) === 2) { break; }
	sleep(1);
}
same("keys can be listed", is_array($keys), $lists);
if ($lists) { same("all keys", array_values(array_diff(["d-listed", "d-listed-too"], $keys)), []); }
foreach ($keys ?: [] as $key) {
	if (!str_starts_with($key, "d-") && !str_starts_with($key, "prefix:")) { same("a key of the server", $key, "one of ours"); }
}
same("version", array_keys($pool->getVersion()), [$first, $second]);
$stats = $pool->getStats();
same("stats", array_keys($stats), [$first, $second]);
same("stats have items", $stats[$second]["curr_items"] > 100, getenv("STATS") !== "proxy");
same("flush", $one->flush(), true);
same("get flushed", $other->get("d-string"), false);
same("quit", $pool->quit(), true);
same("set after quit", $pool->set("d-again", 1), true);
done();
