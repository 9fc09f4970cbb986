package replication

import (
	"context"

	"golang.org/x/time/rate"
)

// pace bounds how many bytes pass in a second. A nil pace bounds nothing.
type pace struct{ limiter *rate.Limiter }

// paceBurst is the most that passes at once, in bytes, unless a tenth of a second has more.
const paceBurst = 64 << 10

// newPace returns the pace of so many bytes a second, nil for 0.
func newPace(bytesPerSecond int64) *pace {
	if bytesPerSecond <= 0 {
		return nil
	}
	return &pace{rate.NewLimiter(rate.Limit(bytesPerSecond), int(max(bytesPerSecond/10, paceBurst)))}
}

// wait returns nil when n more bytes may pass, an error when ctx ends before that. n may be any size.
func (p *pace) wait(ctx context.Context, n int) error {
	if p == nil {
		return nil
	}
	for n > 0 {
		step := min(n, p.limiter.Burst())
		if err := p.limiter.WaitN(ctx, step); err != nil {
			return err
		}
		n -= step
	}
	return nil
}
