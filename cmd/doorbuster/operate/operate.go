// Package operate has the commands that ask a node: they look at a shop and change it,
// by the operators' API. Each is on httpapi/client; ask.go has what they share.
package operate

import "github.com/spf13/cobra"

// Commands gives them; those below cluster that ask no node are given to it.
func Commands(cluster ...*cobra.Command) []*cobra.Command {
	return []*cobra.Command{
		newApplyCommand(), newPlanCommand(), newApprovalsCommand(), newHistoryCommand(),
		newClusterCommand(cluster), newBackupCommand(),
		newRefusalsCommand(), newRefundsCommand(), newAlarmsCommand(), newHotCommand(),
		newWaitCommand(), newSwitchesCommand(),
		newListsCommand(), newReservationsCommand(), newReconcileCommand(), newDrawCommand(),
		newEventsCommand(), newBargainsCommand(), newPlaysCommand(), newShippingCommand(), newSinksCommand(),
		newEraseCommand(), newProductsCommand(), newSalesCommand(), newSessionsCommand(),
	}
}
