// Package cabinet is a store as the clients of Tokyo Tyrant see it: operations that create what is absent, numbers of fixed
// width, a cursor, lists of keys by prefix, range and pattern, and the functions of misc. Source of their rules: the
// protocol document of Tokyo Tyrant 1.1.41 and probes of it with a hash database; docs/compat.md lists the differences.
package cabinet
