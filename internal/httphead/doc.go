// Package httphead reads the heads of plain HTTP/1.1 requests without allocating: GET and HEAD without a body. What is not
// beyond doubt it leaves to net/http, byte for byte as it came: it refuses nothing and repairs nothing. So all that it
// accepts net/http would read the same way, which is what its fuzz test checks. Replies it reads by the same rules, and a
// Handoff gives net/http the connections that are left to it.
//
// A head is plain when its request line is GET or HEAD, a path of the usual bytes, and HTTP/1.1; when it has exactly one Host;
// when every other line is NAME: VALUE of printable bytes; and when none of them speaks of a body, an upgrade, a trailer or the end
// of the connection. That of a reply is plain when it is HTTP/1.1 with a final status; when its body has a length that is told
// once, or there is none; and when no line concerns the connection, but for one that keeps or closes it.
package httphead
