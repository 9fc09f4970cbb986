// Shardsim computes how evenly keys and requests fall on several pairs when keys belong to a fixed number of slots, with the
// keys and the distributions of `futago bench`. It prints the tables of docs/design/sharding.md.
//
//	go run ./scripts/shardsim
//	go run ./scripts/shardsim --keys 200000 --zipf 0.8 --slots 256 --pairs 2,3
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/futago/futago/internal/bench"
	"github.com/spf13/pflag"
)

// settings say what is computed.
type settings struct {
	keys, draws int
	zipf        float64
	seed        uint64
	slots       []int
	pairs       []int
}

func defaults() settings {
	return settings{
		keys: 1_000_000, draws: 10_000_000, zipf: 0.99, seed: 1,
		slots: []int{1000, 4096, 16384}, pairs: []int{2, 3, 4, 6, 8, 12, 16},
	}
}

// Limits, so that a mistyped number does not fill the memory.
const (
	maxKeys  = 50_000_000
	maxDraws = 10_000_000_000
	maxSlots = 1 << 20
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil && !errors.Is(err, pflag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "shardsim:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	s := defaults()
	f := pflag.NewFlagSet("shardsim", pflag.ContinueOnError)
	f.IntVar(&s.keys, "keys", s.keys, "number of keys")
	f.IntVar(&s.draws, "draws", s.draws, "number of requests of each distribution")
	f.Float64Var(&s.zipf, "zipf", s.zipf, "skew of the second distribution")
	f.Uint64Var(&s.seed, "seed", s.seed, "of the load generator")
	f.IntSliceVar(&s.slots, "slots", s.slots, "numbers of slots")
	f.IntSliceVar(&s.pairs, "pairs", s.pairs, "numbers of pairs")
	if err := f.Parse(args); err != nil {
		return err
	}
	if err := s.validate(); err != nil {
		return err
	}
	w := bufio.NewWriter(out)
	if err := report(w, s); err != nil {
		return err
	}
	return w.Flush()
}

func (s settings) validate() error {
	if s.keys < 1 || s.keys > maxKeys {
		return fmt.Errorf("keys %d: must be 1 to %d", s.keys, maxKeys)
	}
	if s.draws < 1 || s.draws > maxDraws {
		return fmt.Errorf("draws %d: must be 1 to %d", s.draws, maxDraws)
	}
	if s.zipf <= 0 {
		return fmt.Errorf("zipf %g: must be above 0", s.zipf)
	}
	if len(s.slots) == 0 || len(s.pairs) == 0 {
		return errors.New("slots or pairs: must name at least one number")
	}
	for _, slots := range s.slots {
		if slots < 1 || slots > maxSlots {
			return fmt.Errorf("slots %d: must be 1 to %d", slots, maxSlots)
		}
		for _, pairs := range s.pairs {
			if pairs < 1 || pairs >= slots {
				return fmt.Errorf("pairs %d: must be 1 to below the %d slots", pairs, slots)
			}
		}
	}
	return nil
}

// report writes the tables in Markdown.
func report(w io.Writer, s settings) error {
	uniform, keys, err := s.load(0)
	if err != nil {
		return err
	}
	zipf, _, err := s.load(s.zipf)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%d keys, %d requests of each distribution, seed %d; the hottest key of Zipf %g has %.2f %% of the requests.\n\n",
		s.keys, s.draws, s.seed, s.zipf, 100*share(zipf))
	functionsTable(w, s, keys)
	slotsTable(w, s, keys, uniform, zipf)
	pairsTable(w, s, keys, uniform, zipf)
	return nil
}

// load counts the requests for each key.
func (s settings) load(skew float64) (requests []int, keys *bench.Draws, err error) {
	c := bench.DefaultConfig()
	c.Keys, c.Zipf, c.Seed = s.keys, skew, s.seed
	if keys, err = bench.NewDraws(c); err != nil {
		return nil, nil, err
	}
	requests = make([]int, s.keys)
	for range s.draws {
		requests[keys.Next()]++
	}
	return requests, keys, nil
}

func functionsTable(w io.Writer, s settings, keys *bench.Draws) {
	fmt.Fprintf(w, "| slot function | slots | fullest slot / mean | emptiest slot / mean |\n|---|--:|--:|--:|\n")
	for _, f := range functions {
		for _, slots := range s.slots {
			counts := make([]int, slots)
			for i := range s.keys {
				counts[f.slot(keys.Key(i), slots)]++
			}
			low, _, high := spread(counts)
			fmt.Fprintf(w, "| %s | %d | %.2f | %.2f |\n", f.name, slots, high, low)
		}
	}
	fmt.Fprintln(w)
}

func slotsTable(w io.Writer, s settings, keys *bench.Draws, uniform, zipf []int) {
	fmt.Fprintf(w, "| slots | keys of a slot | hottest slot, uniform | hottest slot, Zipf %g |\n|--:|--:|--:|--:|\n", s.zipf)
	for _, slots := range s.slots {
		all := bySlot(slots, keys, s.keys, uniform, zipf)
		_, mean, _ := spread(all[0])
		fmt.Fprintf(w, "| %d | %.0f | %.3f %% | %.2f %% |\n", slots, mean, 100*share(all[1]), 100*share(all[2]))
	}
	fmt.Fprintln(w)
}

func pairsTable(w io.Writer, s settings, keys *bench.Draws, uniform, zipf []int) {
	fmt.Fprintf(w, "| slots | pairs | keys | requests, uniform | requests, Zipf %g | the same, slots placed by load | keys then | moved for one pair more | at least |\n", s.zipf)
	fmt.Fprintln(w, "|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
	for _, slots := range s.slots {
		all := bySlot(slots, keys, s.keys, uniform, zipf)
		for _, pairs := range s.pairs {
			even := evenly(slots, pairs)
			placed := byLoad(all[2], pairs)
			moved := 0
			for slot, to := range oneMore(even, pairs) {
				if to != even[slot] {
					moved += all[0][slot]
				}
			}
			fmt.Fprintf(w, "| %d | %d | %.2f | %.2f | %.2f | %.2f | %.2f | %.1f %% | %.1f %% |\n", slots, pairs,
				busiest(all[0], even, pairs), busiest(all[1], even, pairs), busiest(all[2], even, pairs),
				busiest(all[2], placed, pairs), busiest(all[0], placed, pairs),
				100*float64(moved)/float64(s.keys), 100/float64(pairs+1))
		}
	}
}

// bySlot returns for each slot the keys, the uniform and the skewed requests.
func bySlot(slots int, keys *bench.Draws, n int, uniform, zipf []int) (all [3][]int) {
	for i := range all {
		all[i] = make([]int, slots)
	}
	for i := range n {
		slot := functions[0].slot(keys.Key(i), slots)
		all[0][slot]++
		all[1][slot] += uniform[i]
		all[2][slot] += zipf[i]
	}
	return all
}
