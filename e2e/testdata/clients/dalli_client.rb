# dalli. Arguments: the protocol, two addresses of one store.
require "dalli"

mode, first, second = ARGV
$wrong = 0

def same(what, got, want)
  return if got == want
  warn "#{what}: got #{got.inspect[0, 200]}, want #{want.inspect[0, 200]}"
  $wrong += 1
end

options = { namespace: "r", compress: true, compression_min_size: 1000, socket_timeout: 5 }
options[:protocol] = mode.to_sym if Gem::Version.new(Dalli::VERSION) >= Gem::Version.new("3.1")
c = Dalli::Client.new([first, second], options)
one = Dalli::Client.new(first, options)
other = Dalli::Client.new(second, options)

same("alive", c.alive!.nil?, false) if mode == "binary"
one.flush_all
same("get nothing", c.get("none"), nil)
{ "text" => "text", "empty" => "", "int" => 42, "nil" => nil, "object" => { a: [1, 2] }, "binary" => "\x00\r\nEND\r\n".b,
  "long" => "compress me " * 5000, "ключ" => "значение" }.each do |name, value|
  same("set #{name}", !!c.set(name, value, 60), true)
  same("get #{name}", c.get(name), value)
  same("get #{name} at one", one.get(name), value)
  same("get #{name} at the other", other.get(name), value)
end
same("fetch", c.fetch("fetched") { "made" }, "made")
same("fetch again", other.fetch("fetched") { "made again" }, "made")

# Quiet writes are pipelined; their errors come before the end of the block.
many = (0...200).to_h { |i| ["many-#{i}", "value #{i}"] }
c.multi { many.each { |k, v| c.set(k, v, 60) } }
same("get many", c.get_multi(many.keys + ["none"]), many)
same("get many at the other", other.get_multi(*many.keys), many)
c.multi { (0...100).each { |i| c.delete("many-#{i}") } }
same("get many after deletes", other.get_multi(many.keys).size, 100)
same("get many with tokens", other.get_multi_cas(many.keys).values.map(&:first).sort, many.values[100..].sort)

same("add", !!c.add("add", "1", 60, raw: true), true)
same("add again", !!c.add("add", "2", 60, raw: true), false)
same("replace nothing", [nil, false, 0].include?(c.replace("none", "2")), true) # 0 is the token of nothing
same("replace", !!c.replace("add", "b", 60, raw: true), true)
same("append", !!c.append("add", "c"), true)
same("prepend", !!c.prepend("add", "a"), true)
same("appended", other.get("add", raw: true), "abc")
same("append to nothing", !!c.append("none", "a"), false)

# Compare and swap: a token of one node holds at the other.
c.set("cas", 1)
same("cas with a block", !!other.cas("cas") { |v| v + 1 }, true)
value, token = one.get_cas("cas")
same("get with token", value, 2)
same("set with token", !!other.set_cas("cas", 3, token), true)
same("set with old token", !!one.set_cas("cas", 4, token), false)
same("after cas", one.get("cas"), 3)
value, token = one.get_cas("cas")
same("replace with old token", !!other.replace_cas("cas", 9, token - 1), false)
same("replace with token", !!other.replace_cas("cas", 4, token), true)
value, token = one.get_cas("cas")
same("delete with old token", !!one.delete_cas("cas", token - 1), false)
same("delete with token", !!one.delete_cas("cas", token), true)
same("get deleted", other.get("cas"), nil)

same("incr with initial", c.incr("n", 3, 60, 40), 40)
same("incr", one.incr("n", 3), 43)
same("decr", other.decr("n", 1), 42)
same("below zero", c.decr("n", 100), 0)
same("incr of nothing", c.incr("none", 1), nil)
same("decr with initial", c.decr("m", 1, 60, 7), 7)

c.set("touched", "x", 60)
same("touch", !!c.touch("touched", 600), true)
same("touch nothing", !!c.touch("none", 60), false)
same("gat", other.gat("touched", 600), "x")
same("gat of nothing", other.gat("none", 600), nil)
same("delete", !!one.delete("add"), true)
same("get deleted", other.get("add"), nil)
same("delete again", !!other.delete("add"), false)

same("stats", c.stats.values.map { |s| s["curr_items"].to_i.positive? }, [ENV["STATS"] != "proxy"] * 2)
same("settings", c.stats("settings").size, 2)
same("version", c.version.values.map { |v| v.to_s.empty? }, [false, false])
c.reset_stats
one.flush_all
same("get flushed", other.get("text"), nil)
c.close
same("set after close", !!c.set("again", 1), true)
puts "end"
exit($wrong.zero? ? 0 : 1)
