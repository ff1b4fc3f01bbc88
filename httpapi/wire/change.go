package wire

// Change is a committed event as it flows out to others.
type Change struct {
	TrailEvent
	// The order that the event is about as it is when the event is sent, which may be further
	// than the event has it. Where its goods go is left out.
	Order *OpsOrder `json:"order,omitempty"`
}
