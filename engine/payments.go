package engine

import "maps"

// payments finds what payments came for. It is in parts, so that a part that has
// shrunk can give its memory back within one Apply.
type payments [256]paymentPart

type paymentPart struct {
	refs map[Key]OrderRef
	most int // there have been since the map was made
}

func (p *payments) of(k Key) OrderRef { return p[k[0]].refs[k] }

func (p *payments) set(k Key, ref OrderRef) {
	part := &p[k[0]]
	if part.refs == nil {
		part.refs = map[Key]OrderRef{}
	}
	part.refs[k] = ref
	part.most = max(part.most, len(part.refs))
}

func (p *payments) len() (n int) {
	for i := range p {
		n += len(p[i].refs)
	}
	return n
}

func (p *payments) drop(k Key) {
	part := &p[k[0]]
	delete(part.refs, k)
	if len(part.refs) < part.most/2 { // a map keeps what it has grown to
		part.refs = maps.Collect(maps.All(part.refs))
		part.most = len(part.refs)
	}
}
