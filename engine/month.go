package engine

import "slices"

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

// learnMonths adds what the state knows of a sale's months to what a plan brings
// of them, and the other way round. A later plan brings later months and may bring
// no more the early ones, by which holds still count; and it may change nothing else.
func (s *State) learnMonths(sale *Sale) {
	old := s.sales[sale.ID]
	if old == nil || old.Timezone != sale.Timezone {
		return
	}
	sale.Months = mergeMonths(old.Months, sale.Months)
	if !slices.Equal(sale.Months, old.Months) {
		learnt := *old // a snapshot may hold the old one
		learnt.Months = sale.Months
		s.sales[sale.ID] = &learnt
	}
}

// mergeMonths gives the months of two tables, each once, ascending, and of more
// than there is room for the latest.
func mergeMonths(a, b []Time) []Time {
	if len(a) == 0 || len(b) == 0 {
		return append(a, b...)
	}
	merged := slices.Concat(a, b)
	slices.Sort(merged)
	merged = slices.Compact(merged)
	return merged[max(0, len(merged)-MaxMonths):]
}
