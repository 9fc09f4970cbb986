// A module of its own: programs that import futago have nothing to do with the client that its tests run.
module github.com/futago/futago/e2e/testdata/clients/gomemcache

go 1.26.0

require github.com/bradfitz/gomemcache v0.0.0-20260422231931-4d751bb6e37c // the client under test
