package bench

// queue holds things in the order in which they came. The zero value is empty and ready. A push takes constant time on
// average; it allocates no more once there is room for twice the longest that the queue ever was.
type queue[T any] struct {
	items []T // items[first:] are there
	first int
}

func (q *queue[T]) empty() bool { return q.first == len(q.items) }

func (q *queue[T]) push(v T) {
	if q.first >= max(1, len(q.items)/2) && len(q.items) == cap(q.items) {
		q.items = q.items[:copy(q.items, q.items[q.first:])]
		q.first = 0
	}
	q.items = append(q.items, v)
}

// front returns the oldest thing. The queue must not be empty.
func (q *queue[T]) front() T { return q.items[q.first] }

// pop takes the oldest thing. The queue must not be empty.
func (q *queue[T]) pop() T {
	v := q.items[q.first]
	if q.first++; q.first == len(q.items) {
		q.items, q.first = q.items[:0], 0
	}
	return v
}
