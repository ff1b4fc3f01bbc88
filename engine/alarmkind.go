package engine

import "slices"

// Severity is how much of a hurry an alarm is.
type Severity string

// Severities. Whoever is woken at night can do something that can't wait for the morning.
const (
	SeverityTell Severity = "tell" // somebody should see to it in working hours
	SeverityWake Severity = "wake" // shoppers, money or data are at risk now
)

// AlarmKind is what holds of every alarm of a name: the runbook's page about it.
type AlarmKind struct {
	Name     AlarmName
	Severity Severity
	Means    string // in a sentence
	Felt     string // what shoppers feel
	Look     string // what to look at
	Do       string
	Heals    string // when it is over
}

// KindOf gives the kind of a name. A name that this build does not know, of a node of
// another build, is one to wake for.
func KindOf(name AlarmName) AlarmKind {
	if i := slices.IndexFunc(alarmKinds, func(k AlarmKind) bool { return k.Name == name }); i >= 0 {
		return alarmKinds[i]
	}
	return AlarmKind{Name: name, Severity: SeverityWake}
}

// AlarmKinds gives all kinds, as the runbook has them.
func AlarmKinds() []AlarmKind { return slices.Clone(alarmKinds) }

const (
	feltNothing  = "Nothing yet."
	feltNoSale   = "Grabs that could win hear processing, then missed; what is on display and refusals go on."
	feltHere     = "Nothing, while other nodes serve."
	reportFault  = "Keep a backup of every node (doorbuster backup) and report it: it is a fault of this program."
	seeCluster   = "doorbuster cluster status: who is reachable, who leads, how far each has applied."
	rejoin       = "Take it out (doorbuster cluster remove), and join it with an empty directory under a new id."
	untilRestart = "It is told until the node is started again."
)

// alarmKinds has every alarm, in the order of the constants.
var alarmKinds = []AlarmKind{
	{AlarmNoLeader, SeverityWake, "No leader is known, so nothing can be granted.", feltNoSale, seeCluster,
		"Bring voters back until most of them answer. If a machine room is lost with most of them, promote the other " +
			"(doorbuster cluster promote).", "By itself, within seconds of an election."},
	{AlarmNoQuorum, SeverityWake, "Fewer voters answer than a decision takes.", feltNoSale, seeCluster,
		"Bring voters back, or mend the network between them. If they are lost for good, promote the surviving zone " +
			"(doorbuster cluster promote).", "By itself, once most voters answer."},
	{AlarmNobodyServes, SeverityWake, "No node takes new shoppers: all are drained, witnesses, or out of reach.",
		"Load balancers have nobody to send them to.", seeCluster,
		"Let a node take shoppers again (doorbuster cluster undrain), or bring one back.",
		"By itself, once a node takes shoppers."},
	{AlarmZoneAck, SeverityWake, "What shoppers are told is in one machine room only, or waits for a second one.",
		"With prefer nothing; with require nobody is granted anything.",
		seeCluster + " Its zone ack says degraded, blocked or single zone.",
		"Bring a voter of another zone back, or have the sale go on without (doorbuster cluster zone-ack): what is " +
			"told from then on is lost if this zone is.", "By itself, once a voter of another zone has all."},
	{AlarmNodeUnreachable, SeverityWake, "A node can't be reached.", feltHere,
		seeCluster + " Then the node's process, its machine, and the network to its peer port.",
		"Start it again. If its machine is lost: " + rejoin, "By itself, once it answers."},
	{AlarmNodeBehind, SeverityWake, "A node does not catch up with its cluster.",
		"Whoever comes to it is served by the others through it, more slowly.", seeCluster + " The node's own log.",
		"Mend what the alarm names. If it stays behind: " + rejoin, "By itself, once it applies entries again."},
	{AlarmWrongDirectory, SeverityWake,
		"A node's data directory is an older copy, or one that two processes use.", feltHere,
		"The alarm's words; which processes run with that directory, and whether a disk was restored.",
		"Stop the process that is too many. A node whose directory is an older copy is turned away: " + rejoin,
		"Once the node is turned away no more, or is taken out."},
	{AlarmContradiction, SeverityWake, "A node found that what it holds contradicts what it has told, and stopped.",
		feltHere, "The alarm's words and the node's log: they name what contradicts what.",
		"Do not start it again on the same directory. Keep the directory, report it, and then: " + rejoin,
		"Once the nodes that were told of it are started again."},
	{AlarmClockOff, SeverityWake, "A node's clock is too far off those of the others: it neither takes nor keeps " +
		"leadership.", "Nothing, unless no node is left that may lead.", "The machine's time service.",
		"Mend the machine's time service (chrony, systemd-timesyncd).", "By itself, once the clocks agree."},
	{AlarmLogMalformed, SeverityWake, "An entry of the log is malformed, and every node skips it.",
		"Whoever waited for it hears processing, then what became of it.", "The log index that the alarm names " +
			"(doorbuster wal dump).", reportFault,
		"Once the node is started from a snapshot behind that entry; from one before it, it is found again."},
	{AlarmSnapshotDamaged, SeverityTell, "A node found damaged snapshots, and began with an older one.", feltNothing,
		"The disk of that node: its own log, and its machine's.",
		"Remove the files that the alarm names, check the disk, and start the node again.", untilRestart},
	{AlarmDisk, SeverityWake, "The disk of a node's data directory is nearly full: a node that can't write its log " +
		"stops.", feltNothing, "What else is on that disk; keep_events and snapshot_bytes.",
		"Give it room, or keep less.", "By itself, once there is room."},
	{AlarmDiskSlow, SeverityWake, "A node's disk syncs slowly: one in a hundred fsyncs takes longer than " +
		"warnings.fsync.",
		"On the leader, grants take longer.", "What else uses that disk; doorbuster_wal_fsync_seconds.",
		"Have another node lead (doorbuster cluster transfer), and give this one a faster disk.",
		"By itself, a minute after the last slow ones."},
	{AlarmFaultsFelt, SeverityWake, "More grabs than warnings.fault_percent end in a fault of ours.",
		"They hear processing, or that something failed.",
		"What else is on; doorbuster_http_problems_total and doorbuster_grabs_total by code.",
		"Mend what else is on; a node alone in trouble can be drained (doorbuster cluster drain).",
		"By itself, once fewer of a minute's grabs do."},
	{AlarmUnderShare, SeverityTell, "A node in service gets less than a third of an even share of looks and grabs.",
		"Nothing, while the other nodes keep up with what it does not get.",
		"The load balancer: its health check of that node, its weights, and connections that stay with one node. " +
			"Each node's share is in the console's view Cluster.",
		"Mend the load balancer; if the node is to have less, take it out of service (doorbuster cluster drain), or " +
			"set warnings.share_window to 0.",
		"By itself, once it gets more, or is drained."},

	{AlarmLedgerBlocked, SeverityWake, "The ledger can't be written: no orders leave memory, and no snapshot is " +
		"taken.", feltNothing, "The node's disk: room, rights, its machine's log.", "Give it room, or mend the disk.",
		"By itself: writing is tried again."},
	{AlarmLedgerMissing, SeverityWake, "The ledger lacks orders of settled sessions.",
		"Who pays late for such an order hears of it only later.", "Which nodes are away: they may have them.",
		"Bring those nodes back, or copy the files from ledger/settled of a restored backup while the node is stopped.",
		"By itself, once the files are there."},
	{AlarmLedgerBehind, SeverityWake, "The ledger is written more slowly than events come.",
		"Grants become slower once its queue is full.", "The node's disk: its fsync times, and what else uses it.",
		"Give it a faster disk, or take load from it (doorbuster cluster transfer).",
		"By itself, once it has caught up."},
	{AlarmLedgerGaps, SeverityTell, "The trail of events has gaps on a node.", feltNothing,
		"Which nodes were away: they are asked for what is missing.", "Bring other nodes back.",
		"By itself, once another node has given what is missing."},
	{AlarmLedgerRebuilt, SeverityTell, "Files of the ledger were damaged and quarantined.", feltNothing,
		"The node's log names them; its disk.", "Check the disk.", untilRestart},

	{AlarmListingFrozen, SeverityWake, "A listing's units no longer add up, so it sells nothing: an invariant broke.",
		"Nobody can get a unit of it; orders stay.", "The listing's counts and its trail (doorbuster events tail).",
		reportFault, "Never by itself."},
	{AlarmListingQuarantined, SeverityWake, "A listing's actor panicked too often, so it lets no new shopper in.",
		"Whoever tries it hears missed.", "The leader's log: it has the panics.",
		"Have another node lead (doorbuster cluster transfer), or start this one again; and report it.",
		"Once another node leads."},
	{AlarmStrayPayments, SeverityTell, "Money came for no order that is known; it goes back.",
		"They get their money back.", "The leader's log: it has each payment.", "Ask the cashier what it was for.",
		"By itself, an hour after the last one."},
	{AlarmCashierFails, SeverityWake, "The cashier does not answer.",
		"Refunds wait; who has paid and was not reported may wait for the order to be paid.",
		"The cashier, the network to it, cashier.url.", "Mend it, or call whoever runs it.",
		"By itself, with the next answer."},
	{AlarmCallbacksSilent, SeverityWake, "No order has been paid for a while, although many wait for that.",
		"They may have paid, and see an order that is not.",
		"Whether the cashier works, and whether its callbacks reach the shoppers' address.",
		"Mend the way from the cashier; pause the session if it takes long (doorbuster reconcile tells who has paid).",
		"By itself, with the next payment, or once few wait."},
	{AlarmRefundsFail, SeverityTell, "The cashier refuses refunds, or fails over them.",
		"They wait for their money.", "doorbuster refunds: each with why it failed.",
		"Ask the cashier, or pay back by hand and mark it so.", "By itself, once they are confirmed."},
	{AlarmRefundsOverdue, SeverityTell, "Refunds have been due for more than a day.", "They wait for their money.",
		"doorbuster refunds: each with why.", "Ask the cashier; without a cashier.url nobody is asked for them.",
		"By itself, once none is that old."},
	{AlarmRiskServiceFails, SeverityTell, "The outside risk service fails, and is not asked.",
		"They are judged by risk.when_down.", "The service, and the network to it.",
		"Mend it, or judge more strictly by switches meanwhile.", "By itself, with the next answer."},
	{AlarmListMeetsMany, SeverityWake, "A risk list challenges or blocks a large part of those who come.",
		"Many hear missed, or solve challenges.", "The audit trail: what was put on that list, and when.",
		"If it is not meant, take it off (doorbuster lists remove), or turn risk lists off (doorbuster switches set).",
		"By itself, once fewer meet it."},
	{AlarmHotUnplanned, SeverityWake, "A product that is on no plan is asked for much: a crowd comes for what is not " +
		"on sale.", "They find nothing, and ask again.", "doorbuster hot; who links to the product.",
		"Plan a session for it, or have the links taken away; hold the crowd back meanwhile.",
		"By itself, once it is asked for less than warnings.hot_per_second, or planned."},
	{AlarmHotUnknown, SeverityTell, "A product that is in no catalogue is asked for much: a crowd, or somebody who " +
		"tries ids.", "They find nothing.", "doorbuster hot; who links to it.",
		"Have the links mended or taken away; limit the rate of who tries ids.",
		"By itself, once it is asked for less than warnings.hot_per_second."},
	{AlarmHotSmallStock, SeverityTell, "A crowd asks for a product of which few are put up, for whoever comes first.",
		"Almost all of them lose.", "doorbuster hot; the plan of the session.",
		"Put up more, or ask for reservations, tickets or a draw, before it opens.",
		"By itself, once it has sold out, or fewer ask for it."},

	{AlarmReconciliationOpen, SeverityTell, "The cashier's accounts and ours differ.",
		"Whoever it is about may have paid for nothing, or not paid.",
		"The report that the alarm names (doorbuster reconcile).",
		"See to each difference: a later statement settles it, or set it aside with a note.",
		"Once no difference is open."},
	{AlarmReconciliationFailed, SeverityTell, "A statement could not be taken.", feltNothing,
		"The alarm's words: the line and what is wrong with it.", "Have it sent again, mended, under the same name.",
		"Once one of that name is taken."},
	{AlarmReportsNotCopied, SeverityTell, "A node could not copy reports of reconciliations from others.", feltNothing,
		seeCluster, "Bring the nodes that have them back.", "By itself, once they are copied."},
	{AlarmStatementLacking, SeverityTell, "The cashier's statement of a day could not be had.", feltNothing,
		"reconcile.url, and the cashier.", "Mend it, or reconcile the statement by hand (doorbuster reconcile).",
		"Once the statement of that day is reconciled."},
	{AlarmStatementFolder, SeverityTell, "The folder of statements can't be read.", feltNothing,
		"reconcile.folder on the node that leads: whether it exists, and the node may read it.", "Mend it.",
		"By itself, once it is read."},

	{AlarmSinkFails, SeverityTell, "A sink does not take what is handed to it.", feltNothing,
		"doorbuster sinks status, and the sink's other side.", "Mend the other side: it goes on where it was.",
		"By itself, once something arrives."},
	{AlarmSinkGone, SeverityTell, "A sink stands still, because the events that it lacks are gone.", feltNothing,
		"doorbuster sinks status: what it has, and what is still kept.",
		"Say where it goes on (doorbuster sinks replay), and see what its other side lacks.", "Once it goes on."},
	{AlarmSinkLetters, SeverityTell, "A sink has dead letters: changes that its other side refused for good.",
		feltNothing, "doorbuster sinks letters: each with why.",
		"Mend the other side and send them again, or drop them.", "Once there are none."},

	{AlarmCatalogueLacking, SeverityTell, "A supplier's catalogue could not be had.", feltNothing,
		"catalogue.pulls, and the supplier.", "Mend it; what was known of its products goes on.",
		"By itself, with the next that is had."},
	{AlarmCatalogueShrinks, SeverityTell, "A supplier's catalogue was not taken, because it has far fewer products " +
		"than before.", feltNothing, "The catalogue, and what the supplier says.",
		"If it is meant, take it (doorbuster products pull SUPPLIER --yes).", "With the next that is taken."},
	{AlarmSupplierOver, SeverityTell, "More of a product is held and paid than its supplier says it has.",
		"Some of who paid may get nothing.",
		"doorbuster products show: the supplier's figure, and what is held and paid.",
		"Have the supplier raise its figure, or void orders that it can't deliver: their money goes back.",
		"Once what is held and paid is within the figure, as holds that nobody pays end."},

	{AlarmAcceptFails, SeverityWake, "A node can't accept connections.", "They can't connect to this node.",
		"The node's limit of open files, and how many connections it has.",
		"Raise the limit, or lower connections; send shoppers to other nodes.", "By itself, once it accepts."},
	{AlarmKeysUnusable, SeverityTell, "A changed key file can't be used, and the old keys stay.", feltNothing,
		"The file that the alarm names.", "Mend the file.", "By itself: it is read again every second."},
	{AlarmPersonalKeys, SeverityTell, "A node lacks keys for personal data.",
		"Receivers can't be given there; orders can.", "The key file, on all nodes (personal_keys).",
		"Put the keys back from a copy of the file, or make a file if there was none.", "By itself: it is read again."},
	{AlarmLogLinesLost, SeverityTell, "What reads a node's log was too slow, and lines of it are lost.", feltNothing,
		"What reads the log.", "Mend it.", "By itself, ten minutes after the last line that was lost."},
	{AlarmWarningsFail, SeverityWake, "A receiver of warnings does not take them: whoever it is for hears nothing.",
		feltNothing, "The receiver, the network to it, and warnings.receivers.",
		"Mend it, and tell by other means whoever it is for.", "By itself, once it takes one."},
}
