package console

import "embed"

//go:embed index.html console.css *.js
var files embed.FS

// Policy is the Content-Security-Policy that the files are to be served with.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

var types = map[string]string{
	"index.html":    "text/html; charset=utf-8",
	"console.css":   "text/css; charset=utf-8",
	"console.js":    "text/javascript; charset=utf-8",
	"orders.js":     "text/javascript; charset=utf-8",
	"parcels.js":    "text/javascript; charset=utf-8",
	"products.js":   "text/javascript; charset=utf-8",
	"rules.js":      "text/javascript; charset=utf-8",
	"sinks.js":      "text/javascript; charset=utf-8",
	"statements.js": "text/javascript; charset=utf-8",
}

// File gives a file of the console and its type; ok is false for a name that is none.
func File(name string) (body []byte, contentType string, ok bool) {
	contentType, ok = types[name]
	if !ok {
		return nil, "", false
	}
	body, err := files.ReadFile(name)
	return body, contentType, err == nil
}
