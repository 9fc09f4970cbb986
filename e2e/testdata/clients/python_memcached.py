"""python-memcached. Arguments: plain or cas, two addresses of one store."""
import sys
import time

import memcache
from check import done, same

mode, first, second = sys.argv[1:]
options = {"cache_cas": mode == "cas", "socket_timeout": 5}
c = memcache.Client([first, second], **options)
one = memcache.Client([first], **options)
other = memcache.Client([second], **options)

one.flush_all()
same("get nothing", c.get("y-none"), None)
for name, value in [("text", "text"), ("ключ", "значение"), ("bytes", b"\x00\r\nEND\r\n"), ("empty", ""), ("int", -42), ("bool", True),
                    ("object", {"a": [1, 2]}), ("long", "compress me " * 5000)]:
    same("set " + name, bool(c.set("y-" + name, value, min_compress_len=1000)), True)
    same("get " + name, c.get("y-" + name), value)
    same("get %s at one" % name, one.get("y-" + name), value)
    same("get %s at the other" % name, other.get("y-" + name), value)

many = {"y-many-%d" % i: "value %d" % i for i in range(200)}
same("set many", c.set_multi(many, time=60), [])
same("get many", c.get_multi(list(many) + ["y-none"]), many)
same("get many at the other", other.get_multi([str(i) for i in range(200)], key_prefix="y-many-"), {str(i): "value %d" % i for i in range(200)})
same("delete many", c.delete_multi(list(many)[:100]), 1)
same("get many after deletes", len(other.get_multi(list(many))), 100)

same("add", bool(c.add("y-add", "1")), True)
same("add again", bool(c.add("y-add", "2")), False)
same("replace nothing", bool(c.replace("y-none", "2")), False)
same("replace", bool(c.replace("y-add", "b")), True)
same("append", bool(c.append("y-add", "c")), True)
same("prepend", bool(c.prepend("y-add", "a")), True)
same("appended", other.get("y-add"), "abc")

if mode == "cas":
    one.set("y-cas", "a")
    same("gets at one", one.gets("y-cas"), "a")
    same("gets at the other", other.gets("y-cas"), "a")
    same("tokens", one.cas_ids, other.cas_ids)
    same("cas", bool(other.cas("y-cas", "b")), True)
    same("old cas", bool(one.cas("y-cas", "c")), False)
    same("after cas", one.get("y-cas"), "b")

c.set("y-n", "40")
same("incr", one.incr("y-n", 3), 43)
same("decr", other.decr("y-n", 1), 42)
same("below zero", c.decr("y-n", 100), 0)
same("incr of nothing", c.incr("y-none"), None)

c.set("y-gone", "x", time=int(time.time()) - 10)
same("get gone", c.get("y-gone"), None)
c.set("y-touched", "x")
same("touch", c.touch("y-touched", 60), 1)
same("touch to the past", c.touch("y-touched", int(time.time()) - 10), 1)
same("get touched", other.get("y-touched"), None)
same("delete", c.delete("y-add"), 1)
same("get deleted", other.get("y-add"), None)
same("delete again", c.delete("y-add"), 1)  # it takes NOT_FOUND for a success

same("stats", [len(s) > 10 for _, s in c.get_stats()], [True, True])
same("stats settings", len(c.get_stats("settings")), 2)
one.flush_all()
same("get flushed", other.get("y-text"), None)
c.disconnect_all()
same("set after disconnect", bool(c.set("y-again", "x")), True)
done()
