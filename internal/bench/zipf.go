package bench

import "math"

// maxSkew is far above any load: nearly all requests are for the first key then.
const maxSkew = 10

// zipf draws ranks from 0 to before n, rank i with a chance proportional to 1/(i+1)^skew, for any skew above 0. It takes
// rejection-inversion (W. Hoermann, G. Derflinger: "Rejection-inversion to generate variates from monotone discrete
// distributions", 1996): no table, whatever n is, and rarely more than one try.
type zipf struct {
	n, skew float64
	// low and high bound the area under the curve that a try hits.
	low, high float64
	// sure is how far right of a number a try may fall that needs no further look.
	sure float64
}

func newZipf(n int, skew float64) *zipf {
	z := &zipf{n: float64(n), skew: skew}
	z.low = z.area(1.5) - 1
	z.high = z.area(z.n + 0.5)
	z.sure = 2 - z.place(z.area(2.5)-z.height(2))
	return z
}

// draw returns a rank and the advanced random state.
func (z *zipf) draw(r random) (rank uint64, next random) {
	for {
		r = r.next()
		u := z.high + r.unit()*(z.low-z.high)
		x := z.place(u)
		k := min(max(math.Floor(x+0.5), 1), z.n)
		if k-x <= z.sure || u >= z.area(k+0.5)-z.height(k) {
			return uint64(k) - 1, r
		}
	}
}

// height is 1/x^skew.
func (z *zipf) height(x float64) float64 { return math.Exp(-z.skew * math.Log(x)) }

// area is the integral of height from 1 to x: (x^(1-skew) - 1) / (1-skew), and its limit log x for the skew 1.
func (z *zipf) area(x float64) float64 {
	log := math.Log(x)
	t := (1 - z.skew) * log
	if math.Abs(t) < 1e-8 {
		return log * (1 + t/2)
	}
	return log * math.Expm1(t) / t
}

// place is the x of an area.
func (z *zipf) place(area float64) float64 {
	t := max((1-z.skew)*area, -1) // not below by rounding
	if math.Abs(t) < 1e-8 {
		return math.Exp(area * (1 - t/2))
	}
	return math.Exp(area * math.Log1p(t) / t)
}

// scatterStep returns a step with which rank*step % n takes every number under n once, neighbours far from each other.
func scatterStep(n uint64) uint64 {
	const golden = 0.6180339887498949
	step := max(uint64(float64(n)*golden), 1)
	for gcd(step, n) != 1 {
		step++
	}
	return step
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
