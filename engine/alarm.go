package engine

import (
	"slices"
	"time"
)

// Alarm is something that an operator has to see to. Every room's alarms are of this
// type, and come together in one list.
type Alarm struct {
	Name AlarmName `json:"name"`
	// How much of a hurry it is, by its name: tell, or wake. Whoever lists alarms says it.
	Severity Severity  `json:"severity"`
	About    string    `json:"about,omitempty"` // which of its kind: a node, a day, a door
	Node     string    `json:"node,omitempty"`  // whose it is; "" for the group's
	Since    time.Time `json:"since,omitzero"`  // zero where that is not known
	Detail   string    `json:"detail"`          // what is wrong, in a sentence
	Advice   string    `json:"advice,omitempty"`
}

// AlarmName is what kind of alarm one is. A name, a node and what it is about make
// one alarm, whatever its words are.
type AlarmName string

// All alarms.
const (
	AlarmNoLeader        AlarmName = "no_leader"
	AlarmNoQuorum        AlarmName = "no_quorum"
	AlarmNobodyServes    AlarmName = "nobody_serves"
	AlarmZoneAck         AlarmName = "zone_ack"
	AlarmNodeUnreachable AlarmName = "node_unreachable"
	AlarmNodeBehind      AlarmName = "node_behind"
	AlarmWrongDirectory  AlarmName = "wrong_directory" // an older copy, or one that two processes use
	AlarmContradiction   AlarmName = "contradiction"
	AlarmClockOff        AlarmName = "clock_off"
	AlarmLogMalformed    AlarmName = "log_malformed"
	AlarmSnapshotDamaged AlarmName = "snapshot_damaged"
	AlarmDisk            AlarmName = "disk_nearly_full"
	AlarmDiskSlow        AlarmName = "disk_slow"
	AlarmFaultsFelt      AlarmName = "faults_felt"
	AlarmUnderShare      AlarmName = "under_share"

	AlarmLedgerBlocked AlarmName = "ledger_blocked"
	AlarmLedgerMissing AlarmName = "ledger_missing"
	AlarmLedgerBehind  AlarmName = "ledger_behind"
	AlarmLedgerGaps    AlarmName = "ledger_gaps"
	AlarmLedgerRebuilt AlarmName = "ledger_rebuilt"

	AlarmListingFrozen      AlarmName = "listing_frozen"
	AlarmListingQuarantined AlarmName = "listing_quarantined"
	AlarmStrayPayments      AlarmName = "stray_payments"
	AlarmCashierFails       AlarmName = "cashier_fails"
	AlarmCallbacksSilent    AlarmName = "callbacks_silent"
	AlarmRefundsFail        AlarmName = "refunds_fail"
	AlarmRefundsOverdue     AlarmName = "refunds_overdue"
	AlarmRiskServiceFails   AlarmName = "risk_service_fails"
	AlarmListMeetsMany      AlarmName = "list_meets_many"
	AlarmHotUnplanned       AlarmName = "hot_unplanned"
	AlarmHotUnknown         AlarmName = "hot_unknown"
	AlarmHotSmallStock      AlarmName = "hot_small_stock"

	AlarmReconciliationOpen   AlarmName = "reconciliation_open"
	AlarmReconciliationFailed AlarmName = "reconciliation_failed"
	AlarmReportsNotCopied     AlarmName = "reports_not_copied"
	AlarmStatementLacking     AlarmName = "statement_lacking"
	AlarmStatementFolder      AlarmName = "statement_folder"

	AlarmSinkFails   AlarmName = "sink_fails"
	AlarmSinkGone    AlarmName = "sink_gone"
	AlarmSinkLetters AlarmName = "sink_letters"

	AlarmCatalogueLacking AlarmName = "catalogue_lacking"
	AlarmCatalogueShrinks AlarmName = "catalogue_shrinks"
	AlarmSupplierOver     AlarmName = "supplier_over"

	AlarmAcceptFails  AlarmName = "accept_fails"
	AlarmKeysUnusable AlarmName = "keys_unusable"
	AlarmPersonalKeys AlarmName = "personal_keys"
	AlarmLogLinesLost AlarmName = "log_lines_lost"
	AlarmWarningsFail AlarmName = "warnings_fail"
)

// In tells where list has the same alarm, perhaps in other words; -1: nowhere.
func (a *Alarm) In(list []Alarm) int {
	return slices.IndexFunc(list, func(b Alarm) bool {
		return a.Name == b.Name && a.About == b.About && a.Node == b.Node
	})
}

// String gives the alarm as a person reads it.
func (a *Alarm) String() string {
	text := string(a.Name) + ": "
	if a.Node != "" {
		text += "node " + a.Node + ": "
	}
	text += a.Detail
	if a.Advice != "" {
		text += " " + a.Advice
	}
	return text
}
