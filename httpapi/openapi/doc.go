// Package openapi makes the OpenAPI document of both APIs: from the tables of routes, the
// types that they name, and the comments of these types. What no table has, such as who
// may ask and what is asked in headers, stands in base.json. It runs when the document is
// written, by go generate, and in no server.
package openapi
