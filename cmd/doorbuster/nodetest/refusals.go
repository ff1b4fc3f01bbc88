package nodetest

import (
	"encoding/json"

	"doorbuster/httpapi/wire"
)

// Refusals is what a node tells of a shopper.
func (s *Shop) Refusals(shopper string) (told wire.Refusals) {
	s.T.Helper()
	a := s.Do("GET", "http://"+s.Admin+"/admin/v1/refusals?shopper="+shopper, "")
	if a.Status != 200 {
		s.T.Fatalf("%d %s", a.Status, a.Body)
	}
	if err := json.Unmarshal([]byte(a.Body), &told); err != nil {
		s.T.Fatal(err)
	}
	return told
}

// Reasons gives what was told as "node session/sku reason".
func Reasons(told wire.Refusals) (list []string) {
	for _, x := range told.Refusals {
		list = append(list, x.Node+" "+x.Session+"/"+x.SKU+" "+x.Reason)
	}
	return list
}
