// Package plan reads plan files: the YAML (or JSON) in which operators say what
// products, sales, sessions and listings there shall be.
//
// Parse takes a file whole or not at all. It reports every problem that can be
// seen without the state of a node, each with its path, line and column; what
// only the state can tell (a session that has started, a stock that can't be
// lowered) is for engine.State.ComparePlan, whose problems Result.Locate leads
// back to the line.
//
// Package tree gives the file's nodes and holds them against plan.schema.json;
// catalogue.go, session.go, rules.go, month.go and when.go read the meaning.
//
// Two promises hold. The same file applied again changes nothing: times from now
// are kept in their own words (engine.SessionSpec.StartSpec), and days of a daily
// session that are past are left out, with a note. And a plan that Parse gives
// fits engine.MaxPlanBytes.
package plan
