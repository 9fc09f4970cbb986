// Package nearest finds the known name that a mistyped one was meant to be, for error messages.
package nearest

// maxName bounds the length that is compared, in bytes: longer input is no slip of a known name.
const maxName = 64

// Name returns the name of known with the smallest distance to name, the first of equals; "" when known is empty.
func Name(name string, known []string) string {
	best, least := "", -1
	for _, k := range known {
		if d := Distance(name, k); least < 0 || d < least {
			best, least = k, d
		}
	}
	return best
}

// Distance counts the insertions, deletions and replacements of bytes that turn a into b. Only the first 64 bytes of each
// are looked at.
func Distance(a, b string) int {
	a, b = a[:min(len(a), maxName)], b[:min(len(b), maxName)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
