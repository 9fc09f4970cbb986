package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/node"
	"github.com/futago/futago/internal/store"
)

const (
	// maxDigest bounds a digest in bytes. One with expiries in every hour of ten years takes a quarter of it.
	maxDigest = 1 << 30
	// digestRounds is how often digests are compared while that still makes fewer ranges unequal.
	digestRounds = 12
	// digestPause is the time between two rounds, at most, digestPoll between two questions for a digest that is not there.
	digestPause = 300 * time.Millisecond
	digestPoll  = 200 * time.Millisecond
)

// compareDigests returns the ranges in which digests stayed unequal, and counts in the report what was compared.
func (v *verifier) compareDigests(ctx context.Context) ([]int, error) {
	docs, err := v.digests(ctx)
	if err != nil {
		return nil, err
	}
	v.count(docs)
	diffs := make([]store.Difference, len(docs)) // of each node with the first one
	for i := range docs {
		diffs[i] = docs[0].Digest.Compare(docs[i].Digest)
	}
	left := sizeOf(diffs)
	for round, idle := 0, 0; left > 0 && !v.full && round < digestRounds && idle < 2; round++ {
		if err := pause(ctx, min(digestPause, v.settle)); err != nil {
			return nil, err
		}
		if docs, err = v.digests(ctx); err != nil {
			return nil, err
		}
		v.count(docs)
		for i := range docs {
			diffs[i] = stillIn(diffs[i], docs[0].Digest.Compare(docs[i].Digest))
		}
		if now := sizeOf(diffs); now < left {
			left, idle = now, 0
		} else {
			idle++
		}
	}
	return rangesOf(diffs), nil
}

// digests asks for all digests until they may be compared with each other.
func (v *verifier) digests(ctx context.Context) ([]node.DigestDocument, error) {
	begin := time.Now()
	for {
		docs, err := askAll(v.nodes, func(_ int, n *adminNode) (node.DigestDocument, error) { return n.digest(ctx) })
		if err == nil && comparable(docs) {
			return docs, nil
		}
		if err == nil {
			err = errors.New("compare digests: a flush has not been carried out on every node")
		} else if refusal, ok := errors.AsType[answerError](err); !ok || refusal.code != http.StatusServiceUnavailable {
			return nil, withHint(err, adminHint)
		}
		waited := time.Since(begin)
		if waited > v.wait {
			return nil, withHint(err, fmt.Sprintf("It was so for %v; give more time with --wait.", v.wait))
		}
		v.progress("waiting for digests", int64(waited), int64(v.wait))
		if err := pause(ctx, digestPoll); err != nil {
			return nil, err
		}
	}
}

func (n *adminNode) digest(ctx context.Context) (doc node.DigestDocument, err error) {
	err = n.ask(ctx, "its digest", http.MethodGet, "/digest", nil, func(r io.Reader) error {
		if err := json.NewDecoder(io.LimitReader(r, maxDigest)).Decode(&doc); err != nil {
			return fmt.Errorf("parse JSON: %w", err)
		}
		if doc.Digest == nil {
			return errors.New("it is empty")
		}
		return nil
	})
	return doc, err
}

func comparable(docs []node.DigestDocument) bool {
	for i := range docs {
		if !docs[0].Digest.Comparable(docs[i].Digest) {
			return false
		}
	}
	return true
}

// count takes from the digests what each node has and what is compared.
func (v *verifier) count(docs []node.DigestDocument) {
	v.report.Records, v.report.Soon = 0, 0
	from := int64(0)
	for i, d := range docs {
		v.report.Nodes[i].Items = d.Items
		from = max(from, d.Digest.From)
	}
	first := docs[0].Digest
	for _, s := range first.Ranges {
		v.report.Records += s.Count
	}
	now := hlc.Millis(v.now()) / time.Hour.Milliseconds()
	for hour, groups := range first.Hours {
		for _, s := range groups {
			switch {
			case hour >= from:
				v.report.Records += s.Count
			case hour >= now:
				v.report.Soon += s.Count
			}
		}
	}
}

// stillIn is what is in both differences.
func stillIn(a, b store.Difference) (both store.Difference) {
	ranges := map[int]bool{}
	for _, r := range b.Ranges {
		ranges[r] = true
	}
	hours := map[store.HourGroup]bool{}
	for _, h := range b.Hours {
		hours[h] = true
	}
	both.Ranges = slices.DeleteFunc(slices.Clone(a.Ranges), func(r int) bool { return !ranges[r] })
	both.Hours = slices.DeleteFunc(slices.Clone(a.Hours), func(h store.HourGroup) bool { return !hours[h] })
	return both
}

func sizeOf(diffs []store.Difference) (n int) {
	for _, d := range diffs {
		n += len(d.Ranges) + len(d.Hours)
	}
	return n
}

// rangesOf are the ranges that any of the differences lies in, in order.
func rangesOf(diffs []store.Difference) (ranges []int) {
	var in [store.Ranges]bool
	const perGroup = store.Ranges / store.Groups
	for _, d := range diffs {
		for _, r := range d.Ranges {
			in[r] = true
		}
		for _, h := range d.Hours {
			for i := range perGroup {
				in[h.Group*perGroup+i] = true
			}
		}
	}
	for r, is := range in {
		if is {
			ranges = append(ranges, r)
		}
	}
	return ranges
}

func allRanges() []int {
	ranges := make([]int, store.Ranges)
	for i := range ranges {
		ranges[i] = i
	}
	return ranges
}
