// Package play reads templates of plays, the rules by which listings sell beyond those that
// all listings have, and fills in their parameters.
//
// Read takes a template from its file: its shape is held against plan.schema.json, its
// references to parameters and its expressions are checked. Fill gives the engine.Play of a
// listing, or why there is none: it refuses what can't work at the listing's price by
// evaluating the expressions for many inputs, and by the distribution of the number of
// friends. Formulas evaluates expressions for leaders. Simulate and Distribution say
// beforehand what a play will bring.
//
// Expressions are CEL without anything that iterates or works on texts: whole numbers, truth
// values, comparisons, arithmetic, min and max. They end, and take no more steps than they
// have operators.
package play
