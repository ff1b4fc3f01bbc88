package httpapi

import (
	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

// ChangeOf gives a committed event as it flows out to others: as GET /admin/v1/events tells
// it, with the order that it is about (nil if it is about none) as GET /admin/v1/orders
// does, but for where its goods go. That is told to nobody who keeps it.
func ChangeOf(e *engine.TrailEvent, o *engine.OrderView) wire.Change {
	c := wire.Change{TrailEvent: trailOf(e)}
	if o != nil {
		order := orderOf(o)
		c.Order = &order
	}
	return c
}
