// Package hot finds the ids that are asked for most, among however many, in a sliding window
// and bounded memory.
//
// Whoever asks is seen by Saw, which neither waits nor allocates: one in 32 puts the id
// into a ring of slots, and one that finds its slot taken is dropped and counted. A goroutine
// empties the ring into Space-Saving summaries, one for each second (Metwally, Agrawal and El
// Abbadi: Efficient Computation of Frequent and Top-k Elements in Data Streams, ICDT 2005,
// section 3). Of n samples in a second a summary has every id with more than n/counters of
// them, and knows for each how many of its count may be another's: those are not told.
package hot
