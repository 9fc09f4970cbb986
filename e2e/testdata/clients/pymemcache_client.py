"""pymemcache. Arguments: the mode, two addresses of one store."""
import os
import pickle
import sys
import time
from collections import OrderedDict

from check import done, same
from pymemcache import serde
from pymemcache.client.base import Client, PooledClient
from pymemcache.client.hash import HashClient
from pymemcache.client.rendezvous import RendezvousHash
from pymemcache.exceptions import MemcacheClientError, MemcacheIllegalInputError

mode, first, second = sys.argv[1:]
options = {"timeout": 5, "connect_timeout": 5, "no_delay": True, "serde": serde.PickleSerde(pickle_version=4)}
# By default writes are sent with noreply, so that a stray reply would be read as that to the next command.
options["default_noreply"] = "noreply" in mode


def split(address):
    host, port = address.split(":")
    return host, int(port)


if mode.startswith("pooled"):
    c = PooledClient(split(first), max_pool_size=4, **options)
elif mode.startswith("hash"):
    c = HashClient([split(first), split(second)], use_pooling=True, hasher=RendezvousHash, **options)
else:
    c = Client(split(first), **options)
other = Client(split(second), **options)

same("flush", c.flush_all(noreply=False) in (True, None), True)  # the hashing client returns nothing
same("get nothing", c.get("p-none"), None)
same("get with default", c.get("p-none", "default"), "default")

# A write at one node, without a reply, and a read at the other need a read between them.
for name, value in [("bytes", b"\x00\r\nEND\r\n"), ("text", "ключ"), ("empty", b""), ("int", 42), ("object", {"a": [1, 2]})]:
    same("set " + name, c.set("p-" + name, value, expire=60, noreply=False), True)
    same("get " + name, c.get("p-" + name), value)
    same("get %s at the other" % name, other.get("p-" + name), value)

# The client's own default for noreply, a hundred times, on one connection with reads between.
for i in range(100):
    c.set("p-loop", "value %d" % i)
    c.append("p-loop-text", b"x")
    c.touch("p-loop", 60)
    same("get in the loop", c.get("p-loop"), "value %d" % i)
    if i % 2:
        c.delete("p-loop")
        same("get deleted in the loop", c.get("p-loop"), None)
c.add("p-added", b"1")
c.add("p-added", b"2")
c.replace("p-missing", b"2")
same("after silent adds", c.get("p-added"), b"1")
same("after a silent replace", c.get("p-missing"), None)

# Many in one call.
many = OrderedDict(("p-many-%d" % i, "value %d" % i) for i in range(200))
same("set many", c.set_many(many, expire=60, noreply=False), [])
same("get many", c.get_many(list(many) + ["p-none"]), dict(many))
same("get many at the other", other.get_many(list(many)), dict(many))
same("gets many", {k: v[0] for k, v in c.gets_many(list(many)).items()}, dict(many))
c.delete_many(list(many)[:100], noreply=False)
same("get many after deletes", len(c.get_many(list(many))), 100)

# Store commands.
same("add", c.add("p-add", b"1", noreply=False), True)
same("add again", c.add("p-add", b"2", noreply=False), False)
same("replace", c.replace("p-add", b"b", noreply=False), True)
same("append", c.append("p-add", b"c", noreply=False), True)
same("prepend", c.prepend("p-add", b"a", noreply=False), True)
same("appended", other.get("p-add"), b"abc")
same("append to nothing", c.append("p-none", b"c", noreply=False), False)

# Compare and swap: a token of one node holds at the other.
c.set("p-cas", b"a", noreply=False)
value, token = c.gets("p-cas")
same("gets", value, b"a")
same("cas", other.cas("p-cas", b"b", token, noreply=False), True)
same("old cas", c.cas("p-cas", b"c", token, noreply=False), False)
same("cas of nothing", c.cas("p-none", b"c", token, noreply=False), None)
same("after cas", c.get("p-cas"), b"b")

# Numbers.
c.set("p-n", b"40", noreply=False)
same("incr", c.incr("p-n", 3, noreply=False), 43)
same("decr", other.decr("p-n", 1, noreply=False), 42)
same("incr of nothing", c.incr("p-none", 1, noreply=False), None)
same("below zero", c.decr("p-n", 100, noreply=False), 0)
try:
    c.incr("p-cas", 1, noreply=False)
    same("incr of a word", "no error", "an error")
except MemcacheClientError:
    pass

# Time and deletes.
c.set("p-gone", b"x", expire=int(time.time()) - 10, noreply=False)
same("get gone", c.get("p-gone"), None)
c.set("p-touched", b"x", noreply=False)
same("touch", c.touch("p-touched", 60, noreply=False), True)
same("touch to the past", c.touch("p-touched", int(time.time()) - 10, noreply=False), True)
same("get touched", other.get("p-touched"), None)
same("delete", c.delete("p-add", noreply=False), True)
same("get deleted", other.get("p-add"), None)
same("delete again", c.delete("p-add", noreply=False), False)

same("big value", c.set("p-big", bytes(900000), noreply=False) and other.get("p-big") == bytes(900000), True)
try:
    c.get("a b")
    same("key with a blank", "no error", "an error")
except MemcacheIllegalInputError:
    pass
if mode.startswith("plain"):
    same("version", len(c.version()) > 0, True)
    same("stats", c.stats().get(b"curr_items", 0) > 10, os.environ.get("STATS") != "proxy")
    same("stats items", isinstance(c.stats("items"), dict), True)
    unicode = Client(split(first), allow_unicode_keys=True, **options)
    same("set ключ", unicode.set("ключ", b"x", noreply=False), True)
    same("get ключ", unicode.get("ключ"), b"x")
c.flush_all(noreply=False)
same("get flushed", other.get("p-text"), None)
c.close()
done()
