// Package warn sends alarms to whoever should hear of them, by signed webhooks whose bodies
// are templates: phone and chat gateways differ.
//
// Only the node that leads sends; while none does, the first of those that hear each other
// tells of that. Each receiver is told once that an alarm has begun and once
// that it is over. An alarm to wake somebody for goes to the first receiver of severity wake,
// is repeated until an operator acknowledges it, and is passed on to the next such receiver
// each time that nobody has in time; whoever is of severity tell hears of it once, too. What
// operators acknowledge and silence is in the log (engine.AlarmNote), so another leader knows
// of it; one that is over is not acknowledged any more. What was sent is in memory alone:
// another leader tells once more of what is on and not acknowledged.
//
// Start reading at Sender.look, which decides what is sent, and Sender.deliver, which sends.
package warn
