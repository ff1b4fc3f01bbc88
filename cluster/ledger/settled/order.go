package settled

import (
	"encoding/binary"
	"hash/crc32"

	"doorbuster/cluster/ledger/codec"
	"doorbuster/engine"
)

// orderVersion is that of an order's row:
//
//	byte    version
//	        fields: varints (signed ones zigzag), strings a length and their bytes
//	uint32  CRC-32C of the key and all before it, little endian
const orderVersion = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const crcBytes = 4

func crcOf(key, body []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, body)
}

const (
	orderReceiver = 1 << iota
	orderDrawn
	orderLate
	orderShipment
)

func ordinalKey(ordinal uint32) []byte { return binary.BigEndian.AppendUint32(nil, ordinal) }

func orderRow(key []byte, o *engine.OrderRecord) []byte {
	flags := byte(0)
	for bit, set := range [...]bool{o.Receiver != nil, o.Drawn, o.Late, o.Shipment != (engine.Shipment{})} {
		if set {
			flags |= 1 << bit
		}
	}
	w := codec.Writer{Buf: append(make([]byte, 0, 160), orderVersion, flags, byte(o.State), byte(o.Why))}
	w.Buf = append(append(w.Buf, o.Key[:]...), o.Transaction[:]...)
	w.Uint(uint64(o.Life), uint64(o.Listing), uint64(o.Quantity))
	w.Int(o.Amount, o.Coupon, int64(o.Granted), int64(o.PayBy-o.Granted), int64(o.Changed-o.Granted), int64(o.PaidAt))
	w.String(o.Shopper, o.PaymentID, o.PayType)
	if o.Receiver != nil {
		w.String(o.Receiver.Sealed)
	}
	if x := &o.Shipment; *x != (engine.Shipment{}) {
		w.Uint(uint64(x.Review), uint64(x.Export))
		w.Int(int64(x.ShippedAt), int64(x.ReceivedAt), int64(x.CompletedAt))
		w.String(x.ReviewNote, x.Carrier, x.Tracking)
	}
	return binary.LittleEndian.AppendUint32(w.Buf, crcOf(key, w.Buf))
}

func orderOf(h engine.SessionHandle, key, row []byte) (o engine.OrderRecord, err error) {
	n := len(row) - crcBytes
	if len(key) != 4 || n < 0 || binary.LittleEndian.Uint32(row[n:]) != crcOf(key, row[:n]) {
		return o, codec.Damaged("order %x does not fit its checksum", key)
	}
	r := codec.Reader{Buf: row[:n]}
	r.Version(orderVersion)
	o.Ref = engine.OrderRef{Session: h, Ordinal: binary.BigEndian.Uint32(key)}
	flags := r.Byte()
	o.Drawn, o.Late = flags&orderDrawn != 0, flags&orderLate != 0
	o.State, o.Why = engine.OrderState(r.Byte()), engine.Reason(r.Byte())
	copy(o.Key[:], r.Bytes(uint64(len(o.Key))))
	copy(o.Transaction[:], r.Bytes(uint64(len(o.Transaction))))
	o.Life, o.Listing, o.Quantity = engine.Life(r.Uint()), engine.ListingHandle(r.Uint32()), r.Uint32()
	o.Amount, o.Coupon, o.Granted = r.Int(), r.Int(), engine.Time(r.Int())
	o.PayBy, o.Changed = o.Granted+engine.Time(r.Int()), o.Granted+engine.Time(r.Int())
	o.PaidAt, o.Shopper, o.PaymentID, o.PayType = engine.Time(r.Int()), r.String(), r.String(), r.String()
	if flags&orderReceiver != 0 {
		o.Receiver = &engine.Receiver{Sealed: r.String()}
	}
	if flags&orderShipment != 0 {
		x := &o.Shipment
		x.Review, x.Export = engine.ReviewState(r.Uint()), r.Uint32()
		x.ShippedAt, x.ReceivedAt, x.CompletedAt = engine.Time(r.Int()), engine.Time(r.Int()), engine.Time(r.Int())
		x.ReviewNote, x.Carrier, x.Tracking = r.String(), r.String(), r.String()
	}
	return o, r.Done()
}

// What stands behind a name, and its 0, in keys. Ids have no byte below '!'.
const (
	shopperTail = 12
	paymentTail = 4
)

// shopperKey sorts a shopper's orders, the newest first.
func shopperKey(shopper string, granted engine.Time, ordinal uint32) []byte {
	b := append(make([]byte, 0, len(shopper)+1+shopperTail), shopper...)
	b = binary.BigEndian.AppendUint64(append(b, 0), ^uint64(granted))
	return binary.BigEndian.AppendUint32(b, ^ordinal)
}

func paymentKey(id string, ordinal uint32) []byte {
	b := append(append(make([]byte, 0, len(id)+1+paymentTail), id...), 0)
	return binary.BigEndian.AppendUint32(b, ordinal)
}
