package roster

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/netip"
	"strings"
	"unicode/utf8"

	"doorbuster/engine"
	"doorbuster/httpapi/input"
)

// Format is how a list is written.
type Format uint8

// Formats.
const (
	Lines  Format = iota // an id a line, with a comma and a level behind it if it has one
	CSV                  // RFC 4180: columns id and level, or as the first line names them
	NDJSON               // an object a line: {"id":"…","level":"…"}
)

// FormatOf gives the format of a media type, as in Content-Type; none is Lines.
func FormatOf(mediaType string) (f Format, known bool) {
	if mediaType == "" {
		return Lines, true
	}
	kind, _, err := mime.ParseMediaType(mediaType)
	switch {
	case err != nil:
	case kind == "text/plain":
		return Lines, true
	case kind == "text/csv":
		return CSV, true
	case kind == "application/x-ndjson" || kind == "application/ndjson" || kind == "application/jsonl":
		return NDJSON, true
	}
	return 0, false
}

// Bounds of what is read.
const (
	maxLineBytes = 4096
	maxTold      = 20 // problems that are told in full
)

// Problem is what is wrong with a line.
type Problem struct {
	Line    int // from 1
	Message string
}

// Problems are why a list was not taken. It is an error.
type Problems struct {
	Told  []Problem // the first of them, at most 20
	Count int       // in all
}

func (p *Problems) Error() string {
	if p.Count == 1 {
		return fmt.Sprintf("line %d: %s", p.Told[0].Line, p.Told[0].Message)
	}
	return fmt.Sprintf("%d lines are wrong, the first is line %d: %s", p.Count, p.Told[0].Line, p.Told[0].Message)
}

// Config says how a list is to be read.
type Config struct {
	Kind   engine.RosterKind
	Format Format
	// Level is that of a row that names none; engine.LevelListed but for risk lists.
	Level engine.Level
	// Canon brings ids into the form in which they are compared.
	Canon Canon
	// Whole: the list takes the place of another, so that no row can take anybody off.
	Whole bool
}

type reading struct {
	Config
	list     *List
	problems Problems
}

// Read reads a list to its end. Errors: *Problems if lines are wrong, else from's.
func Read(from io.Reader, cfg Config) (*List, error) {
	r := &reading{Config: cfg, list: newList(cfg.Kind)}
	in := bufio.NewReaderSize(from, 64<<10)
	switch head, err := in.Peek(3); {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, err
	case bytes.Equal(head, []byte("\xef\xbb\xbf")):
		in.Discard(3)
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		return nil, &Problems{[]Problem{{1, "the list is in UTF-16; save it as UTF-8"}}, 1}
	}
	read := r.lines
	if cfg.Format == CSV {
		read = r.csv
	}
	if err := read(in); err != nil {
		return nil, err
	}
	if r.problems.Count > 0 {
		return nil, &r.problems
	}
	return r.list, nil
}

func (r *reading) wrong(line int, format string, args ...any) {
	if r.problems.Count++; r.problems.Count <= maxTold {
		r.problems.Told = append(r.problems.Told, Problem{line, fmt.Sprintf(format, args...)})
	}
}

// lines reads plain lines, and objects a line.
func (r *reading) lines(in *bufio.Reader) error {
	for no := 1; ; no++ {
		line, err := in.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = in.ReadSlice('\n')
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		last := err != nil
		text := string(bytes.TrimRight(line, "\r\n"))
		switch {
		case strings.TrimSpace(text) == "" && !long:
		case long || len(text) > maxLineBytes:
			r.wrong(no, "the line is longer than %d bytes", maxLineBytes)
		case r.Format == NDJSON:
			r.object(no, text)
		case r.namesColumns(no, text):
		default:
			id, level := splitLevel(r.Kind, text)
			r.row(no, id, level)
		}
		if last {
			return nil
		}
	}
}

// splitLevel takes a level off the end of a line. A postal address may have commas
// of its own; of all else on a risk list, what follows a comma is meant as a level,
// so that a mistyped one is seen.
func splitLevel(kind engine.RosterKind, line string) (id, level string) {
	if at := strings.LastIndexByte(line, ','); at >= 0 {
		word := strings.TrimSpace(line[at+1:])
		if word == "" || knownLevel(word) || kind >= engine.RosterRiskShopper && kind != engine.RosterRiskAddress {
			return line[:at], word
		}
	}
	return line, ""
}

func knownLevel(word string) bool {
	_, known := engine.ParseLevel(word)
	return known
}

func (r *reading) object(no int, text string) {
	var row struct {
		ID    string `json:"id"`
		Level string `json:"level"`
		Since string `json:"since"` // as an export has it; what is read counts from now
	}
	if wrong := input.Object([]byte(text), &row, true); wrong != "" {
		r.wrong(no, `the line is no object like {"id":"…","level":"block"}: %s`, wrong)
		return
	}
	r.row(no, row.ID, row.Level)
}

// csv reads records. The first may name the columns.
func (r *reading) csv(in *bufio.Reader) error {
	records := csv.NewReader(in)
	records.FieldsPerRecord, records.ReuseRecord = -1, true
	idAt, levelAt, columns := 0, 1, 2
	for first := true; ; first = false {
		record, err := records.Read()
		var parse *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &parse):
			r.wrong(parse.Line, "the line is no CSV: %s", parse.Err)
			continue
		case err != nil:
			return err
		}
		no, _ := records.FieldPos(0)
		if first && strings.EqualFold(strings.TrimSpace(record[0]), "id") {
			if idAt, levelAt, columns = r.header(no, record); idAt < 0 {
				return nil
			}
			continue
		}
		if r.namesColumns(no, record...) {
			continue
		}
		if len(record) > columns {
			r.wrong(no, "the line has %d columns; there may be %d. Quote what has commas", len(record), columns)
			continue
		}
		level := ""
		if levelAt >= 0 && levelAt < len(record) {
			level = strings.TrimSpace(record[levelAt])
		}
		r.row(no, record[idAt], level)
	}
}

// header reads the names of the columns; idAt is below 0 if it can't be made out.
func (r *reading) header(no int, record []string) (idAt, levelAt, columns int) {
	levelAt = -1
	for i, name := range record {
		switch name := strings.ToLower(strings.TrimSpace(name)); {
		case name == "id" && i == 0, name == "since":
		case name == "level" && levelAt < 0:
			levelAt = i
		default:
			r.wrong(no, "the column %q is not known, or there twice; columns are id, level, since", clip(name))
			return -1, -1, 0
		}
	}
	return 0, levelAt, len(record)
}

// row checks a row and takes it in.
func (r *reading) row(no int, id, word string) {
	level := r.Level
	if word != "" {
		var known bool
		switch level, known = engine.ParseLevel(word); {
		case !known:
			r.wrong(no, "the level %q is none of watch, challenge, block, none", clip(word))
			return
		case level == engine.LevelNone && r.Whole:
			r.wrong(no, "the level none takes somebody off a list; from one that replaces all, leave the row out")
			return
		case level > engine.LevelNone && r.Kind < engine.RosterRiskShopper:
			r.wrong(no, "the level %q is for risk lists; here there is none", clip(word))
			return
		}
	}
	if !utf8.ValidString(id) {
		r.wrong(no, "the line is not UTF-8; save the list as UTF-8")
		return
	}
	if wrong := r.mistaken(id); wrong != "" {
		r.wrong(no, "%q %s", clip(id), wrong)
		return
	}
	id = r.Canon.Of(r.Kind, id)
	if wrong := engine.ValidRosterRow(r.Kind, id, level); wrong != "" {
		r.wrong(no, "%s", wrong)
		return
	}
	if prefix, err := netip.ParsePrefix(id); r.Kind == engine.RosterRiskIP && err == nil &&
		level > engine.LevelListed && r.list.broad == "" &&
		(prefix.Bits() < 8 || prefix.Addr().Is6() && prefix.Bits() < 32) {
		r.list.broad = id
	}
	if before, on, there := r.list.add(id, level, no); there {
		if before != level {
			r.wrong(no, "%q is %s here and %s on line %d", clip(id), r.Kind.Word(level), r.Kind.Word(before), on)
			return
		}
		r.list.repeated++
	} else if r.list.count > engine.MaxRosterRows {
		r.list.rows, r.list.count = r.list.rows[:0], 0 // nothing comes of it: make no more room
		clear(r.list.slots)
		r.wrong(no, "a list may have %d rows, and here is one more", engine.MaxRosterRows)
	}
}

// mistaken says of what can't be meant as an id what it seems to be, "" if nothing:
// taken as one it would name nobody, and whoever was meant would stand on no list.
func (r *reading) mistaken(id string) string {
	id = strings.TrimSpace(id)
	switch at := strings.LastIndexAny(id, ";|:=\t"); {
	case strings.ContainsFunc(id, input.Steers):
		return "has a character that does not show: a tab, a line feed, or one that turns the direction of text around"
	case r.inQuotes(id):
		return "is in quotation marks; leave them out, or send the list as CSV"
	case at >= 0 && knownLevel(strings.ToLower(strings.TrimSpace(id[at+1:]))):
		return "seems to have its level behind it; put a comma before the level, or send the list as CSV with commas"
	}
	return ""
}

// inQuotes reports whether quotation marks around an id were not meant as part of it. An
// address may begin or end with a name in them.
func (r *reading) inQuotes(id string) bool {
	for _, mark := range []string{`"`, "'"} {
		begins, ends := strings.HasPrefix(id, mark), strings.HasSuffix(id, mark)
		if begins && ends || (begins || ends) && r.list.kind != engine.RosterRiskAddress {
			return true
		}
	}
	return false
}

// namesColumns reports whether a line has nothing but names of columns, as a file has in
// front, and in its middle where files were joined; it is refused then.
func (r *reading) namesColumns(no int, line ...string) bool {
	names := 0
	for _, part := range line {
		for name := range strings.FieldsFuncSeq(part, func(c rune) bool { return strings.ContainsRune(",;|\t", c) }) {
			if !columnNames[strings.ToLower(strings.Trim(name, " \"'\r"))] {
				return false
			}
			names++
		}
	}
	if names > 0 {
		r.wrong(no, `%q looks like the names of columns; leave that line out, or send CSV whose first line begins `+
			`with id. If it is meant, send it as an object: {"id":"…"}`, clip(strings.Join(line, ",")))
	}
	return names > 0
}

var columnNames = map[string]bool{
	"id": true, "ids": true, "user": true, "userid": true, "user_id": true, "username": true, "shopper": true,
	"shopperid": true, "shopper_id": true, "customer": true, "customer_id": true, "member_id": true, "uid": true,
	"account": true, "name": true, "phone": true, "phones": true, "phone_number": true, "mobile": true,
	"tel": true, "address": true, "addresses": true, "ip": true, "ips": true, "prefix": true, "level": true,
	"since": true,
}

func clip(s string) string {
	if len(s) > engine.MaxIDBytes {
		return s[:engine.MaxIDBytes] + "…"
	}
	return s
}
