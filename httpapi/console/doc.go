// Package console is the operators' page: Preact and htm, uPlot for curves, a style sheet of
// its own; embedded as files, without a build step and without anything from elsewhere. It
// knows what the operations API tells whoever has logged in, and Policy forbids the browser
// everything that it does not need. Text goes in as text nodes, never as markup.
//
// A view has files of its own beside the shell's, and a line in the table of app.js and in
// views of console.go:
//
//   - NAME.js exports View({ path, query, session }): path is what stands behind /NAME/,
//     decoded, or ""; query is the address's URLSearchParams; session says who asks, and may
//     (session, "operator") whether a button is offered. Links are plain <a href="/NAME">; route.js
//     has go, which moves by script, and setQuery, which changes parameters.
//   - words-NAME.js calls add of words.js with keys "NAME.…", each [English, Chinese]. All text
//     is t("key"); a group that the API names is t("state." + x).
//   - api.js: at("sessions", id) makes a path; useQuery(path, { every: ms }) asks and goes on
//     asking while somebody looks; usePages takes a list by pages; change(method, path, body)
//     does something once, with one key however often it is tried; useStream is the tab's one
//     stream; now() is the sale's time. Errors are Refused, which Problem shows. A file is a
//     plain <a download>: the cookie goes along.
//   - parts.js: Table, Pages, Form, Field, Ask (a change with a note), Danger (what can't be
//     undone), Dialog, Problem, Empty, Time, Countdown, State, Card, Facts; said(text) tells
//     what was done.
//
// Styles are those of console.css: plain elements look right without classes. Tests hold all
// of it: what is imported is there, routes are the API's, words are there in both languages
// and are used, fields have labels; and the browser opens every view at /NAME.
package console
