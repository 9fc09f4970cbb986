package server

import (
	"net/http"
	"strconv"
	"strings"
)

// condition holds If-Match and If-None-Match of a request that writes; empty means absent.
type condition struct{ match, noneMatch string }

func conditionOf(h http.Header) condition {
	return condition{match: strings.Join(h["If-Match"], ","), noneMatch: strings.Join(h["If-None-Match"], ",")}
}

func (c condition) any() bool { return c.match != "" || c.noneMatch != "" }

// holds evaluates the condition on the present record. Source: RFC 9110, section 13.
func (c condition) holds(token uint64, present bool) bool {
	if c.match != "" && !(present && listed(c.match, etag(token), false)) {
		return false
	}
	return c.noneMatch == "" || !(present && listed(c.noneMatch, etag(token), true))
}

// listed reports whether a list of entity tags has tag, or is a star. The weak comparison ignores W/ in front.
func listed(list, tag string, weak bool) bool {
	for item := range strings.SplitSeq(list, ",") {
		item = strings.TrimSpace(item)
		if weak {
			item = strings.TrimPrefix(item, "W/")
		}
		if item == tag || item == "*" {
			return true
		}
	}
	return false
}

// etag is the entity tag of a token.
func etag(token uint64) string { return string(appendETag(nil, token)) }

func appendETag(dst []byte, token uint64) []byte {
	return append(strconv.AppendUint(append(dst, '"'), token, 10), '"')
}
