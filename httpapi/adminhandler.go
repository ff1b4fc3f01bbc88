package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strconv"

	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

// adminHandler is what a route does, and what it is asked and answers with: the
// description of the API is made from these types.
type adminHandler struct {
	query       query
	asked, body reflect.Type // of the query, and of a JSON body; nil is none
	gives       wire.Bodies  // with status 200
	awaits      bool         // a second operator may have to approve it: 202 with the approval then
	serve       func(s *AdminServer, w http.ResponseWriter, r *http.Request) error
}

// none is what is asked where nothing can be.
type none = struct{}

// does is a handler that is asked what Q says, takes B as JSON, and answers with A. Its
// error is answered as problemOf has it.
func does[Q, B, A any](handle func(*AdminServer, *http.Request, *Q, *B) (A, error)) adminHandler {
	takes := reflect.TypeFor[B]() != reflect.TypeFor[none]()
	h := asking(func(s *AdminServer, w http.ResponseWriter, r *http.Request, q *Q) error {
		b := new(B)
		if takes {
			if err := readBody(r, b); err != nil {
				return err
			}
		}
		a, err := handle(s, r, q, b)
		if err != nil {
			return err
		}
		return s.reply(w, a)
	})
	if takes {
		h.body = reflect.TypeFor[B]()
	}
	return h.giving(wire.Bodies{wire.JSON: {*new(A)}})
}

// gets is does without anything that can be asked.
func gets[A any](get func(*AdminServer, *http.Request) (A, error)) adminHandler {
	return does(func(s *AdminServer, r *http.Request, _, _ *none) (A, error) { return get(s, r) })
}

// finds is does for what is only asked in the query.
func finds[Q, A any](find func(*AdminServer, *http.Request, *Q) (A, error)) adminHandler {
	return does(func(s *AdminServer, r *http.Request, q *Q, _ *none) (A, error) { return find(s, r, q) })
}

// makes is does for what takes a body and no query.
func makes[B, A any](change func(*AdminServer, *http.Request, *B) (A, error)) adminHandler {
	return does(func(s *AdminServer, r *http.Request, _ *none, b *B) (A, error) { return change(s, r, b) })
}

// plain is a handler that answers by itself, and that nothing can be asked.
func plain(handle func(*AdminServer, http.ResponseWriter, *http.Request)) adminHandler {
	return asking(func(s *AdminServer, w http.ResponseWriter, r *http.Request, _ *none) error {
		handle(s, w, r)
		return nil
	})
}

// asking is a handler that may be asked what Q says, and answers unless it gives an error.
func asking[Q any](handle func(*AdminServer, http.ResponseWriter, *http.Request, *Q) error) adminHandler {
	known := queryOf[Q]()
	h := adminHandler{query: known, asked: reflect.TypeFor[Q]()}
	h.serve = func(s *AdminServer, w http.ResponseWriter, r *http.Request) error {
		q := new(Q)
		if wrong := known.read(r.URL.RawQuery, reflect.ValueOf(q).Elem()); wrong != "" {
			return refuse(malformed, wrong)
		}
		return handle(s, w, r, q)
	}
	return h
}

// giving says what a handler that answers by itself answers with.
func (h adminHandler) giving(bodies wire.Bodies) adminHandler {
	h.gives = bodies
	return h
}

// awaiting is of a change that a second operator may have to approve.
func (h adminHandler) awaiting() adminHandler {
	h.awaits = true
	return h
}

// problemError is an error that is answered with this very problem.
type problemError struct {
	kind    problemKind
	detail  string
	reasons []wire.PlanProblem
}

func (e *problemError) Error() string { return e.detail }

// refuse makes an error of a problem.
func refuse(kind problemKind, detail string, reasons ...wire.PlanProblem) error {
	return &problemError{kind, detail, reasons}
}

// readBody reads a JSON body into v, unless it is empty. Error: a problem.
func readBody(r *http.Request, v any) error {
	text, err := bodyOf(r)
	if err != nil {
		return err
	}
	if len(text) > 0 {
		if wrong := decodeStrictly(text, v); wrong != "" {
			return refuse(malformed, wrong)
		}
	}
	if noted, ok := v.(interface{ Why() string }); ok {
		if wrong := wrongNote(noted.Why()); wrong != "" {
			return refuse(malformed, wrong)
		}
	}
	return nil
}

// bodyOf reads a body. Error: a problem.
func bodyOf(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, refuse(tooLarge, "The body may have "+strconv.FormatInt(large.Limit, 10)+" bytes.")
	case err != nil:
		return nil, refuse(malformed, "The body broke off before its end.")
	}
	return body, nil
}

// wrongNote says what is wrong with why a change is made, "" if nothing.
func wrongNote(note string) string {
	if note != "" && !validText(note) {
		return fmt.Sprintf("The note may have %d bytes of text without control characters.", engine.MaxTextBytes)
	}
	return ""
}

// wrongID says that a member that must be an id is none.
func wrongID(id, member, of, such string) error {
	if engine.ValidID(id) {
		return nil
	}
	return refuse(malformed, fmt.Sprintf("The %s must be there: the id of %s, such as %q; up to %d letters, digits, "+
		"dots, "+
		"dashes and underscores.", member, of, such, engine.MaxIDBytes))
}

// reply answers with v as JSON.
func (s *AdminServer) reply(w http.ResponseWriter, v any) error {
	return s.replyWith(w, http.StatusOK, v)
}

func (s *AdminServer) replyWith(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// Whoever asked may have gone; there is nobody left to tell.
	_, _ = w.Write(append(body, '\n'))
	return nil
}

// listOf makes a list of what each is as JSON; [] for none.
func listOf[T, J any](all []T, of func(*T) J) []J {
	list := make([]J, len(all))
	for i := range all {
		list[i] = of(&all[i])
	}
	return list
}
