<?php
// A web page that counts in the session ?id=..., under the session's lock. It answers with the count, or with status 503
// and the warnings of the extension. ?busy=FOLDER is where requests of one session would meet if the lock did not hold.
$warnings = [];
set_error_handler(function (int $level, string $text) use (&$warnings): bool {
	if ($level !== E_DEPRECATED) { $warnings[] = $text; }
	return true;
});
session_id($_GET["id"]);
if (session_start()) {
	$started = $warnings; $warnings = [];
	$alone = mkdir("$_GET[busy]/$_GET[id]");
	$count = ($_SESSION["count"] ?? 0) + (int)($_GET["add"] ?? 1);
	$_SESSION["count"] = $count;
	$_SESSION["padding"] = str_repeat("$count,", 500);
	if ($_GET["hold"] > 0) { usleep((int)$_GET["hold"]); }
	if ($alone) {
		rmdir("$_GET[busy]/$_GET[id]");
	} else {
		$warnings[] = "another request is in the session";
	}
	session_write_close();
}
if (!isset($started) || $warnings !== []) { http_response_code(503); }
header("Content-Type: application/json");
echo json_encode(["count" => $count ?? 0, "warnings" => array_merge($started ?? [], $warnings)]);
