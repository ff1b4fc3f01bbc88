// Package tree reads the YAML of plans and of templates of plays into nodes that know
// where they stand, and holds them against plan.schema.json, which editors can use too.
//
// A Reader goes through a file in two passes: node.go turns text into nodes with paths and
// refuses what YAML allows and a plan has no use for (aliases, tags, several documents),
// while lookalike.go names characters that only look like YAML's own; schema.go checks
// the shape. What the values mean is for who asks; value.go reads the kinds of them that
// plans and templates share.
package tree
