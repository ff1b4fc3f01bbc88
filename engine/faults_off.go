//go:build !faults

package engine

func (s *State) breakListing(*Command) Event { return refused(ReasonUnknown) }
