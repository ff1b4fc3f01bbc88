// Package nodetest serves nodes for tests, and uses them as shoppers and operators do.
// A Shop is one node, in the test's own process or in one of the program, which is built
// from the sources once for each package of tests; a Fleet is a cluster of such
// processes. All end with the test. Every answer is held against the description of the
// API. Begin with Open, OpenFleet and Program.
package nodetest
