<?php
// What the PHP scripts share: they end with status 1 and a line for each thing that is not as it should be.
$wrong = 0;

function same(string $what, $got, $want): void {
	global $wrong;
	if (is_object($want) ? $got != $want : $got !== $want) {
		fprintf(STDERR, "%s: got %s, want %s\n", $what, substr(var_export($got, true), 0, 200), substr(var_export($want, true), 0, 200));
		$wrong++;
	}
}

function done(): void {
	global $wrong;
	echo "end\n";
	exit($wrong > 0 ? 1 : 0);
}
