package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// upstreamsValue is a list of the upstreams of a gateway or a proxy in their text form, which parse reads and String writes.
func upstreamsValue[U fmt.Stringer](p *[]U, parse func(string) (U, error)) value {
	return value{
		kind: "text",
		list: true,
		set: func(words []string) error {
			*p = nil
			var errs []error
			for _, w := range words {
				u, err := parse(w)
				if err != nil {
					// With its address alone it still counts as one, so that nothing is said of it twice.
					errs = append(errs, err)
					address, _, _ := strings.Cut(w, ",")
					u, err = parse(address)
				}
				if err == nil {
					*p = append(*p, u)
				}
			}
			return errors.Join(errs...)
		},
		words: func() []string {
			var words []string
			for _, u := range *p {
				words = append(words, u.String())
			}
			return words
		},
	}
}

// newRegistry returns a registry of metrics that has those of the process already.
func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}
