package httpapi

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"doorbuster/engine"
	"doorbuster/httpapi/report"
	"doorbuster/httpapi/wire"
)

// SessionReporter tells what came of sessions. It is met by report.Keeper, which says what
// the method does.
type SessionReporter interface {
	Report(ctx context.Context, session string) (*wire.SessionReport, error)
}

// sessionReport tells what came of a session.
func (s *AdminServer) sessionReport(r *http.Request) (*wire.SessionReport, error) {
	if s.told == nil {
		return nil, refuse(conflict, "This node makes no reports of sessions.")
	}
	j, err := s.told.Report(r.Context(), r.PathValue("session"))
	var notOpened *report.NotOpenedError
	switch {
	case errors.Is(err, report.ErrUnknown):
		return nil, refuse(notFound, "No session has this id. The sessions are listed at /admin/v1/sessions.")
	case errors.As(err, &notOpened):
		return nil, refuse(conflict, notOpened.Error())
	}
	return j, err
}

// reportProfile makes a profile of the switches at the height of a session.
func (s *AdminServer) reportProfile(r *http.Request, b *wire.ReportProfile) (wire.Profile, error) {
	if err := wrongID(b.Name, "name", "the profile", "rush"); err != nil {
		return wire.Profile{}, err
	}
	done, err := s.operator.Done(r.Context(), byOf(r))
	if err != nil {
		return wire.Profile{}, err
	}
	told, err := s.sessionReport(r)
	if err != nil {
		return wire.Profile{}, err
	}
	made := wire.Profile{Name: b.Name, Switches: told.Switches.Switches}
	if done { // whatever has become of the profile since
		return made, nil
	}
	if len(made.Switches) == 0 {
		return wire.Profile{}, refuse(conflict, "At the height of this session all switches were as they normally "+
			"are: there is nothing to make a profile of.")
	}
	all, err := s.profiles(r)
	if err != nil {
		return wire.Profile{}, err
	}
	at := slices.IndexFunc(all.Profiles, func(p wire.Profile) bool { return p.Name == b.Name })
	if at >= 0 && !maps.Equal(all.Profiles[at].Switches, made.Switches) {
		return wire.Profile{}, refuse(conflict, fmt.Sprintf("There is a profile %q with other switches. Take another "+
			"name, or forget that one first.", b.Name))
	}
	settings, err := settingsOf(&wire.Settings{Switches: made.Switches})
	if err != nil {
		return wire.Profile{}, err
	}
	_, err = s.turn(r, engine.SwitchChange{Action: engine.ProfileDefine, Profile: b.Name, Settings: settings},
		b.Note.Note)
	return made, err
}
