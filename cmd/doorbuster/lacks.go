package main

import (
	"net"

	"doorbuster/cluster"
	"doorbuster/httpapi"
)

// lack is something that a shop as it is configured can't do: what it does instead,
// after "this shop".
type lack struct{ setting, means string }

// lacks says what a shop as it is configured can't do, for who starts it.
func (c Config) lacks() (all []lack) {
	missing := func(is bool, setting, means string) {
		if is {
			all = append(all, lack{setting, means})
		}
	}
	missing(c.Dev, "dev", "is for trying out: a shopper is whoever X-Shopper-Id says, operators need no token, and "+
		"anybody may tell that an order was paid")
	if c.kind() == cluster.KindWitness {
		return all // it has no shop
	}
	if !c.Dev {
		missing(c.Cashier.PayKeys == "", "pay_keys",
			"gives held orders no pay_token, so that no cashier knows what to take money for")
		missing(c.Cashier.KeyFile == "", "cashier_key_file",
			"believes no callback of a cashier, so that no order becomes paid by one")
	}
	missing(c.Cashier.URL == "", "cashier_url",
		"asks no cashier for refunds, which stay due, nor to take no money once the time to pay is over")
	missing(c.Reconcile.Folder == "" && c.Reconcile.URL == "", "reconcile.folder, reconcile.url",
		"compares no statement of a cashier by itself, so that what callbacks missed is not found until somebody does")
	for _, door := range []struct{ setting, addr string }{{"http", c.HTTP}, {"display", c.Display},
		{"admin", c.Admin}} {
		host, _, _ := net.SplitHostPort(door.addr) // checked by Validate
		missing(door.addr != "" && !loopback(host), door.setting,
			"speaks plain HTTP at this address, and tokens can be read on the way: put TLS in front of it, and let "+
				"nobody else reach it")
	}
	return all
}

// whatToDo is what to do about a lack where it is not the setting that is missing.
var whatToDo = map[string]string{
	"dev":     "Start the nodes of a real shop without it.",
	"http":    "Put TLS in front of it.",
	"display": "Put TLS in front of it.",
	"admin":   "Put TLS in front of it.",
}

// checks are the lacks that checklists name. Where nobody pays, they are of no use.
func (c Config) checks() (all []httpapi.Lack) {
	for _, l := range c.lacks() {
		bad := l.setting == "pay_keys" || l.setting == "cashier_key_file"
		all = append(all, httpapi.Lack{Setting: l.setting, Means: l.means, Do: whatToDo[l.setting], Bad: bad})
	}
	return all
}
