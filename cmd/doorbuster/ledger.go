package main

import (
	"doorbuster/cluster"
	"doorbuster/cluster/ledger"
	"doorbuster/engine"
)

// ledgers are the group's way to what has left the state.
type ledgers struct {
	*ledger.Ledger
	node *cluster.Node
}

func (b ledgers) Recorded() (engine.LogIndex, []string) { return b.node.Recorded() }
