package engine

import (
	"slices"
)

// monthOf gives when the calendar month that at lies in began, as the sale's
// table of months has it; 0 where the table does not reach.
func (x *Sale) monthOf(at Time) Time {
	i, found := slices.BinarySearch(x.Months, at)
	if found {
		return x.Months[i]
	}
	if i == 0 {
		return 0
	}
	return x.Months[i-1]
}

// month gives the beginning of the month that a limit of l counts in now.
func (s *State) month(l *Listing) Time {
	sale := s.sales[s.sessions[l.Session-1].Sale]
	return sale.monthOf(s.now)
}

// mergeMonths gives the months of two tables, each once, ascending, and of more
// than there is room for the latest.
func mergeMonths(a, b []Time) []Time {
	if len(a) == 0 {
		return b
	}
	merged := slices.Concat(a, b)
	slices.Sort(merged)
	merged = slices.Compact(merged)
	return merged[max(0, len(merged)-MaxMonths):]
}
