# Cache::Memcached and Cache::Memcached::Fast. Arguments: the module, noreply or reply, two addresses of one store.
use strict;
use warnings;
use utf8;

my ($module, $mode, @servers) = @ARGV;
my $fast = $module eq "Cache::Memcached::Fast";
eval "require $module; 1" or die $@;
my $wrong = 0;

sub same {
	my ($what, $got, $want) = @_;
	($got, $want) = map { defined $_ ? $_ : "nothing" } $got, $want;
	return if $got eq $want;
	print STDERR "$what: got ", substr($got, 0, 200), ", want ", substr($want, 0, 200), "\n";
	$wrong++;
}

sub client {
	my %options = (servers => [@_], compress_threshold => 10_000, namespace => "l-");
	$options{io_timeout} = 5 if $fast;
	return $module->new($fast ? \%options : {%options, debug => 0});
}
my $c = client(@servers);
my $one = client($servers[0]);
my $other = client($servers[1]);

$one->flush_all;
same("get nothing", $c->get("none"), undef);
my %values = (text => "text", empty => "", number => 42, binary => "\x00\r\nEND\r\n", long => "compress me " x 5000);
for my $name (sort keys %values) {
	same("set $name", $c->set($name, $values{$name}, 60), 1);
	same("get $name: $_->[0]", $_->[1]->get($name), $values{$name}) for ["both", $c], ["one", $one], ["other", $other];
}
same("set object", $c->set("object", {a => [1, 2]}), 1);
same("get object", $other->get("object")->{a}[1], 2);

if ($mode eq "noreply") {
	# In void context the fast module asks for no reply; what is read behind the write is what it wrote.
	for my $i (1 .. 200) {
		$c->set("silent", "value $i");
		$c->append("silent-text", "x");
		$c->delete("silent-gone");
		same("read behind a silent write", $c->get("silent"), "value $i") if $i % 10 == 0;
	}
	$c->nowait_push if $fast;
}

my %many = map { ("many-$_" => "value $_") } 1 .. 200;
if ($fast) {
	my $set = $c->set_multi(map { [$_, $many{$_}, 60] } keys %many);
	same("set many", scalar(grep { $_ } values %$set), 200);
} else {
	same("set $_", $c->set($_, $many{$_}, 60), 1) for keys %many;
}
my $got = $c->get_multi(keys %many, "none");
same("get many", join(",", map { "$_=$got->{$_}" } sort keys %$got), join(",", map { "$_=$many{$_}" } sort keys %many));
$got = $other->get_multi(keys %many);
same("get many at the other", scalar(keys %$got), 200);

same("add", $c->add("add", "1"), 1);
same("add again", !!$c->add("add", "2"), !!0);
same("replace nothing", !!$c->replace("none", "2"), !!0);
same("replace", $c->replace("add", "b"), 1);
same("append", $c->append("add", "c"), 1);
same("prepend", $c->prepend("add", "a"), 1);
same("appended", $other->get("add"), "abc");

if ($fast) {
	$c->set("cas", "a");
	my $token = $one->gets("cas");
	same("gets", $token->[1], "a");
	same("cas", $other->cas("cas", $token->[0], "b"), 1);
	same("old cas", !!$one->cas("cas", $token->[0], "c"), !!0);
	same("after cas", $one->get("cas"), "b");
	same("touch", $c->touch("cas", 60), 1);
	same("touch to the past", $c->touch("cas", time - 10), 1);
	same("get touched", $other->get("cas"), undef);
	same("gat", join(",", map { defined $_ ? $_ : "nothing" } $c->gat(60, "text")), "text") if $c->can("gat");
}

$c->set("n", 40);
same("incr", $one->incr("n", 3), 43);
same("decr", $other->decr("n", 1), 42);
same("below zero", $c->decr("n", 100) + 0, 0);
same("incr of nothing", !!$c->incr("none"), !!0);

$c->set("gone", "x", time - 10);
same("get gone", $c->get("gone"), undef);
same("delete", $one->delete("add"), 1);
same("get deleted", $other->get("add"), undef);
same("delete again", !!$other->delete("add"), !!0);

if ($fast) {
	same("versions", scalar(keys %{$c->server_versions}), 2);
} else {
	same("stats", scalar(keys %{$c->stats("misc")->{hosts}}), 2);
}
$one->flush_all;
same("get flushed", $other->get("text"), undef);
$c->disconnect_all;
same("set after disconnect", $c->set("again", 1), 1);
print "end\n";
exit($wrong ? 1 : 0);
