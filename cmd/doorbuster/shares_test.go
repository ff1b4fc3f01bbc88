package main

import (
	"testing"
	"time"

	"doorbuster/cluster"
	"doorbuster/httpapi/wire"
)

// of is a voter that tells this.
func of(id, told string) cluster.NodeStatus {
	return cluster.NodeStatus{Member: cluster.Member{ID: id, Kind: cluster.KindVoter}, Reachable: true, Told: told}
}

// TestUnderShare: under a third of an even share is too little, of enough traffic, and among
// those that were in service all the while.
func TestUnderShare(t *testing.T) {
	const whole = `{"Looks":450,"Grabs":450,"Whole":true}`
	drained, witness, lost := of("a4", whole), of("a4", whole), of("a4", whole)
	drained.Drained, witness.Kind, lost.Reachable = true, cluster.KindWitness, false
	for _, tc := range []struct {
		name  string
		own   string
		third cluster.NodeStatus
		want  bool
	}{
		{"nothing", `{"Whole":true}`, of("a3", whole), true},
		{"just too little", `{"Looks":100,"Grabs":124,"Whole":true}`, of("a3", whole), true},
		{"just enough", `{"Looks":100,"Grabs":126,"Whole":true}`, of("a3", whole), false},
		{"just came", `{"Whole":false}`, of("a3", whole), false},
		{"says nothing", ``, of("a3", whole), false},
		{"another just came", `{"Looks":200,"Whole":true}`, of("a3", `{"Looks":9000}`), false},
		{"drained", `{"Looks":190,"Whole":true}`, drained, false},
		{"witness", `{"Looks":190,"Whole":true}`, witness, false},
		{"out of reach", `{"Looks":190,"Whole":true}`, lost, false},
	} {
		nodes := []cluster.NodeStatus{of("a1", tc.own), of("a2", whole), tc.third}
		if _, _, under := underShare("a1", nodes); under != tc.want {
			t.Errorf("%s: %t", tc.name, under)
		}
	}
	few := []cluster.NodeStatus{of("a1", `{"Whole":true}`), of("a2", `{"Looks":399,"Whole":true}`)}
	if _, _, under := underShare("a1", few); under {
		t.Error("few looks say nothing")
	}
}

// TestShareOut: shares are of all that came to nodes in service.
func TestShareOut(t *testing.T) {
	told := make([]wire.Node, 3)
	shareOut(told, []cluster.NodeStatus{of("a1", `{"Looks":30,"Grabs":1}`), of("a2", `{"Looks":10}`), of("a3", "")})
	if told[0].LooksShare != 0.75 || told[0].GrabsShare != 1 || told[1].LooksShare != 0.25 || told[1].Looks != 10 ||
		told[2] != (wire.Node{}) {
		t.Errorf("%+v", told)
	}
}

// TestAttendance: a node tells what came lately, and begins anew when it comes into service.
func TestAttendance(t *testing.T) {
	var c attendance
	now := time.Date(2026, 9, 20, 2, 0, 0, 0, time.UTC)
	looks := uint64(1000)
	tells := func(want string, seconds int) {
		t.Helper()
		for range seconds {
			now, looks = now.Add(time.Second), looks+10
			c.look(now, time.Minute, looks, 7)
		}
		if got := c.tells(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	tells("", 0)
	tells(`{"Looks":290,"Grabs":0,"Whole":false}`, 30)
	tells(`{"Looks":600,"Grabs":0,"Whole":true}`, 31)
	c.away()
	tells("", 0)
	tells(`{"Looks":90,"Grabs":0,"Whole":false}`, 10)
}
