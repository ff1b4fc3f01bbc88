package httpapi

import (
	"bytes"
	"html/template"
	"net/http"

	"doorbuster/engine"
	"doorbuster/httpapi/console"
)

// runbookTemplate writes the table of alarms as a page that the console's list leads into. It
// holds no secret.
var runbookTemplate = template.Must(template.New("runbook").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Runbook · Doorbuster</title>
<link rel="stylesheet" href="/console/console.css">
</head>
<body>
<main class="book">
<h1>Alarms, and what to do</h1>
<p><a href="/">Back to the console</a></p>
{{range .}}<section id="{{.Name}}">
<h2>{{.Name}} <small class="hint">{{.Severity}}</small></h2>
<p>{{.Means}}</p>
<dl>
<dt>Shoppers</dt><dd>{{.Felt}}</dd>
<dt>Look at</dt><dd>{{.Look}}</dd>
<dt>Do</dt><dd>{{.Do}}</dd>
<dt>It is over</dt><dd>{{.Heals}}</dd>
</dl>
</section>
{{end}}</main>
</body>
</html>
`))

func (s *AdminServer) runbook(w http.ResponseWriter, r *http.Request) {
	var page bytes.Buffer
	if err := runbookTemplate.Execute(&page, engine.AlarmKinds()); err != nil {
		s.failed(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", console.Policy)
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	// Whoever asked may have gone; there is nobody left to tell.
	_, _ = w.Write(page.Bytes())
}
