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
	wanted := c.Connections
	if c.Display != "" {
		wanted += c.DisplayConnections
	}
	reserve := min(reservedDescriptors, limit/2) // a tiny limit is shared evenly
	if limit == 0 || uint64(wanted) <= limit-reserve {
		return
	}
	share := float64(limit-reserve) / float64(wanted)
	c.Connections = max(1, int(share*float64(c.Connections)))
	c.DisplayConnections = max(1, int(share*float64(c.DisplayConnections)))
	logger.Warn("connections are fewer than configured: the process may not open as many files. "+
		"Raise the limit (LimitNOFILE= of a systemd unit, or ulimit -n), or lower --connections",
		"descriptors", limit, "reserved", reserve, "connections", c.Connections, "display_connections", c.DisplayConnections)
}
