// Package port gives out addresses on loopback for processes that must know each
// other's before they start, and that may end and start again.
package port

import "errors"

// Hold gives n addresses on loopback, all different, whose ports the kernel has chosen.
// Until release is called, or this process ends, nobody else is given one of them, nor
// does a connection go out from it. Whoever knows an address can listen there.
func Hold(n int) (addrs []string, release func(), err error) {
	var all []func()
	release = func() {
		for _, one := range all {
			one()
		}
	}
	for range n {
		addr, one, err := hold()
		if err != nil {
			release()
			return nil, nil, errors.Join(errors.New("no port on loopback"), err)
		}
		addrs, all = append(addrs, addr), append(all, one)
	}
	return addrs, release, nil
}
