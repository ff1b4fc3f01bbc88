package engine

// chunkRows is how many rows a table copies when a row of a frozen chunk
// changes: small enough to copy in a microsecond or two, large enough that a
// freeze of a million rows copies only some ten thousand pointers. As many orders as that
// fill a size class of the allocator, 8 KiB.
const chunkRows = 93

// table is a dense, append-only array that can be frozen at the price of its
// chunk pointers: a row changed after a freeze is changed in a copy of its
// chunk (copy on write), so a frozen table may be read from another goroutine
// while the live one goes on.
type table[T any] struct {
	chunks []*chunk[T]
	rows   int
	gen    uint32 // chunks of an older generation belong to a frozen table too
}

type chunk[T any] struct {
	gen  uint32
	rows []T // grows to chunkRows; never beyond what cap was made for
}

func (t *table[T]) len() int { return t.rows }

// at gives a row to read. The pointer is good until the next change of t.
func (t *table[T]) at(i int) *T { return &t.chunks[i/chunkRows].rows[i%chunkRows] }

// mut gives a row to change.
func (t *table[T]) mut(i int) *T {
	c := t.own(i / chunkRows)
	return &c.rows[i%chunkRows]
}

func (t *table[T]) own(n int) *chunk[T] {
	c := t.chunks[n]
	if c.gen != t.gen {
		copied := &chunk[T]{gen: t.gen, rows: make([]T, len(c.rows), chunkRows)}
		copy(copied.rows, c.rows)
		t.chunks[n] = copied
		c = copied
	}
	return c
}

// add appends a row. The first chunk grows by doubling, so that a table with a
// handful of rows (thousands of small sessions) stays small.
func (t *table[T]) add(row T) {
	n := t.rows / chunkRows
	if n == len(t.chunks) {
		first := chunkRows
		if n == 0 {
			first = 4
		}
		t.chunks = append(t.chunks, &chunk[T]{gen: t.gen, rows: make([]T, 0, first)})
	}
	c := t.own(n)
	c.rows = append(c.rows, row)
	t.rows++
}

// freeze gives a table that stays as t is now.
func (t *table[T]) freeze() table[T] {
	frozen := table[T]{chunks: append([]*chunk[T](nil), t.chunks...), rows: t.rows, gen: t.gen}
	t.gen++
	return frozen
}

// cut drops the rows from n on.
func (t *table[T]) cut(n int) {
	chunks := (n + chunkRows - 1) / chunkRows
	clear(t.chunks[chunks:])
	if t.chunks = t.chunks[:chunks]; cap(t.chunks) > 4*chunks {
		t.chunks = append([]*chunk[T](nil), t.chunks...)
	}
	t.rows = n
	if n%chunkRows != 0 {
		c := t.own(chunks - 1)
		clear(c.rows[n%chunkRows:])
		c.rows = c.rows[:n%chunkRows]
	}
}
