package main

import (
	"log/slog"
)

// reservedDescriptors are what a node keeps for its log, snapshots, peers,
// operators and the cashier, whatever shoppers open.
const reservedDescriptors = 256

// keepDescriptors lowers the bounds of connections, if need be, so that all that may
// be open at once leaves the reserve. It logs what it did and how to get more.
func (c *Config) keepDescriptors(limit uint64, logger *slog.Logger) {
	wanted := c.Doors.Connections
	if c.Display != "" {
		wanted += c.Doors.DisplayConnections
	}
	reserve := min(reservedDescriptors, limit/2) // a tiny limit is shared evenly
	if limit == 0 || uint64(wanted) <= limit-reserve {
		return
	}
	share := float64(limit-reserve) / float64(wanted)
	c.Doors.Connections = max(1, int(share*float64(c.Doors.Connections)))
	c.Doors.DisplayConnections = max(1, int(share*float64(c.Doors.DisplayConnections)))
	logger.Warn("connections are fewer than configured: the process may not open as many files. "+
		"Raise the limit (LimitNOFILE= of a systemd unit, or ulimit -n), or lower --connections",
		"descriptors", limit, "reserved", reserve, "connections", c.Doors.Connections, "display_connections",
		c.Doors.DisplayConnections)
}
