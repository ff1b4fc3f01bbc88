// Package wire has what both APIs say and are told as JSON: the types of bodies and of
// lines, problems (RFC 9457), and what the OpenAPI document says of a route. The doors
// answer with these types and clients read them; nothing here knows a door. The comments
// of types and fields are the descriptions of the OpenAPI document, word for word; a tag
// with one enum names a list of the state machine's own words.
//
// Times are RFC 3339 in UTC, money is in minor units of its currency.
package wire
