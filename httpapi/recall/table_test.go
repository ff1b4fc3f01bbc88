package recall

import (
	"fmt"
	"sync"
	"testing"
)

// keys makes so many, all different.
func keys(t *Table[int], of string, n int) []Key {
	all := make([]Key, n)
	for i := range all {
		all[i] = t.Key(fmt.Append(nil, of, i))
	}
	return all
}

// What is remembered is found by its own key alone, and what is put again by that key
// takes its place.
func TestTable(t *testing.T) {
	table := New[int](1000)
	all := keys(table, "a", 600)
	for i, k := range all {
		if table.Get(k) != nil {
			t.Fatalf("%d is there before it came", i)
		}
		table.Put(k, -1)
		table.Put(k, i)
	}
	found := 0
	for i, k := range all {
		if v := table.Get(k); v != nil {
			found++
			if *v != i {
				t.Errorf("%d is found by the key of %d", *v, i)
			}
		}
	}
	if found < len(all)*99/100 || table.Len() != found { // few find both of their sets full
		t.Errorf("%d of %d are found, and %d are there", found, len(all), table.Len())
	}
	if k := all[0]; New[int](1000).Key([]byte("a0")) == k || table.Key([]byte("a0")) != k {
		t.Error("keys are not the table's own")
	}
}

// Memory is bounded, and who is asked about is remembered however many others come.
func TestTableForgets(t *testing.T) {
	for _, most := range []int{1, 7, 10, 64, 1000} {
		table := New[int](most)
		regular := table.Key([]byte("regular"))
		table.Put(regular, 1)
		others := keys(table, "b", 10*most)
		for i, k := range others {
			table.Put(k, i)
			if most > ways && i%(most/ways) == 0 && table.Get(regular) == nil {
				t.Fatalf("of %d, one who was asked about is forgotten after %d others", most, i)
			}
		}
		if table.Get(others[len(others)-1]) == nil {
			t.Errorf("of %d, the last that came is forgotten", most)
		}
		if n := table.Len(); n > most || n < most*8/10 {
			t.Errorf("%d are remembered, of %d at most", n, most)
		}
	}
}

// Whoever asks while others come hears of nobody else.
func TestTableTogether(t *testing.T) {
	table := New[int](64)
	all := keys(table, "c", 256)
	var askers sync.WaitGroup
	for from := range 4 {
		askers.Go(func() {
			for n := range 20_000 {
				i := (n*7 + from) % len(all)
				if v := table.Get(all[i]); v == nil {
					table.Put(all[i], i)
				} else if *v != i {
					t.Errorf("%d is found by the key of %d", *v, i)
					return
				}
			}
		})
	}
	askers.Wait()
	if n := table.Len(); n > 64 {
		t.Errorf("%d are remembered", n)
	}
}

func BenchmarkGet(b *testing.B) {
	table := New[int](100_000)
	names := make([][]byte, 60_000) // as long as tokens
	for i := range names {
		names[i] = fmt.Appendf(nil, "%0200d", i)
		table.Put(table.Key(names[i]), i)
	}
	missed := 0
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if table.Get(table.Key(names[i*7919%len(names)])) == nil {
			missed++
		}
	}
	b.ReportMetric(float64(missed)/float64(b.N), "missed/op")
}
