#!/bin/sh
# The tools of libmemcached. Arguments: text or binary, two addresses of one store.
set -u
mode=$1 first=$2 second=$3
both=--servers=$first,$second
one=--servers=$first
other=--servers=$second
binary=
if [ "$mode" = binary ]; then binary=--binary; fi
wrong=0
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 2

# yes and no run a command that must, or must not, succeed.
yes() { "$@" || { echo "failed: $*" >&2; wrong=1; }; }
no() { if "$@"; then echo "succeeded: $*" >&2; wrong=1; fi; }

printf 'hello\r\nEND\r\n' >small
head -c 500000 /dev/urandom >large
: >empty
yes memcflush $one $binary
yes memccp $both $binary small large empty
for file in small large empty; do
	for servers in "$one" "$other"; do
		yes memccat "$servers" $binary --file="$file.back" "$file"
		yes cmp "$file" "$file.back"
		yes memcexist "$servers" $binary "$file"
	done
done
no memccp $one $binary --add small
yes memccp $one $binary --replace small
yes memccp $both $binary --buffer small large
no memcexist $both $binary missing
no memccat $both $binary missing
yes memctouch $one $binary --expire=60 small
no memctouch $one $binary --expire=60 missing
yes memcrm $one $binary small
no memcrm $other $binary small
no memccat $other $binary small
yes memcping $both
yes memcstat $both $binary >stats
yes grep -q curr_connections stats
if [ "$mode" = text ] && [ "${STATS-}" != proxy ]; then
	yes grep -q curr_items stats
	printf 'k1\nk2\nk3\n' >want
	for key in k1 k2 k3; do cp small "$key"; done
	yes memccp $one k1 k2 k3
	listed=
	for _ in $(seq 30); do # memcached lists a new key only after a while
		yes memcdump $one >keys
		if grep '^k[123]$' keys | sort -u | cmp -s - want; then listed=1; break; fi
		sleep 1
	done
	if [ -z "$listed" ]; then echo "memcdump lists:" >&2; cat keys >&2; wrong=1; fi
fi
yes memcflush $one $binary
no memcexist $other $binary large

# Its own tests of a server; they flush it.
letter=a
if [ "$mode" = binary ]; then letter=b; fi
yes memccapable -h "${first%:*}" -p "${first##*:}" -$letter >capable
if ! grep -q 'All tests passed' capable; then
	cat capable >&2
	wrong=1
fi
echo end
exit $wrong
