package engine

// testKey is a shopper's key, as far as the state cares.
var testKey = PersonalKey{KEK: 7, Wrapped: "a key"}

// sealed is a receiver as a door might have sealed it.
func sealed(name string) Receiver {
	r := Receiver{Sealed: "sealed: " + name}
	copy(r.Same[:], "same "+name)
	copy(r.Phone[:], "phone "+name)
	copy(r.Address[:], "address "+name)
	return r
}
