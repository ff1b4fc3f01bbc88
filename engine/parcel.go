package engine

// ParcelFilter says which orders of a session somebody who ships looks for: of those
// whose listings deliver here, and that are paid for. Zero fields don't filter.
type ParcelFilter struct {
	State    OrderState // Paid, Shipped, Received, Completed
	SKU      string
	Delivery Delivery
	// Review of an order must be Verdict, and Export the number, where they are asked for:
	// with ByExport, Export 0 are those that did not go out yet.
	ByReview, ByExport bool
	Review             ReviewState
	Export             uint32
}

// Wants reports whether an order is one of those.
func (f *ParcelFilter) Wants(v *OrderView) bool {
	switch v.State {
	case Paid, Shipped, Received, Completed:
	default:
		return false
	}
	return v.Delivery != DeliveryNone && (f.State == 0 || f.State == v.State) && (f.SKU == "" || f.SKU == v.SKU) &&
		(f.Delivery == DeliveryNone || f.Delivery == v.Delivery) && (!f.ByReview || f.Review == v.Review) &&
		(!f.ByExport || f.Export == v.Export)
}

// MayWant reports whether a record may be of an order that Wants wants: that costs less.
func (f *ParcelFilter) MayWant(r *OrderRecord) bool {
	return (f.State == 0 || f.State == r.State) && (!f.ByReview || f.Review == r.Shipment.Review) &&
		(!f.ByExport || f.Export == r.Shipment.Export)
}

// RowProblem is what is wrong with a row of a file of orders.
type RowProblem struct {
	Row     int // from 0
	OrderNo string
	Reason  Reason
	State   OrderState // of the order, where there is one
	Says    string     // a sentence: what is wrong, and what would be right
}

// RowProblems refuse many orders at once; nothing has changed.
type RowProblems []RowProblem

func (p RowProblems) Error() string {
	if len(p) == 0 {
		return "rows can't be taken"
	}
	return p[0].Says
}

// MostRowProblems is how many are told of at most.
const MostRowProblems = 100
