package wire

// Curve is how a session sells, second by second, as the node that answers saw it. Of a
// stream, each event has what came since the one before.
type Curve struct {
	Session string `json:"session"`
	// The latest second that is in it, in Unix seconds, by the node's clock: what to ask for
	// as after, to hear what came since. 0 while nothing is known.
	Last     int64          `json:"last"`
	Listings []CurveListing `json:"listings"` // By SKU; of very many, the busiest.
	// Grabs that the node which answers refused, of all listings: each node counts its own.
	Refusals CurveRefusals `json:"refusals"`
}

// CurveListing has a listing's points: of each list, the first is of the second from, and
// each of the second after. All are units.
type CurveListing struct {
	SKU       string  `json:"sku"`
	From      int64   `json:"from"`    // Unix seconds.
	Granted   []int32 `json:"granted"` // In each second.
	Stock     []int32 `json:"stock"`
	Available []int32 `json:"available"`
	Held      []int32 `json:"held"`
	Paid      []int32 `json:"paid"`
	Waiting   []int32 `json:"waiting"` // Units waited for in line.
}

// CurveRefusals counts refusals in each second, by the true reason.
type CurveRefusals struct {
	From    int64               `json:"from"`    // Unix seconds.
	Reasons map[string][]uint32 `json:"reasons"` // Those that there were.
}
