package upstream

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/sluiceproxy/sluice/core"
)

// snapshot is the endpoints that may be picked, as they are until something changes.
type snapshot struct {
	members []member
	probing []*Endpoint // members that wait for their one probe
	forced  bool        // panic mode: members are all endpoints that are not drained
	until   core.Instant
	picker  picker // nil without members
}

// member is an endpoint with the weight it has now.
type member struct {
	e      *Endpoint
	weight float64
}

// picker is a balancing policy, compiled for the members of a snapshot.
type picker interface {
	// pick returns a member that is free for the exchange, nil when it has found none soon
	// enough. It allocates nothing.
	pick(x *core.Exchange, now core.Instant) *Endpoint
}

// current returns the snapshot for now. One that time has outdated is rebuilt by the first who
// sees it; the others go on with it meanwhile.
func (u *Upstream) current(now core.Instant) *snapshot {
	s := u.snap.Load()
	if now < s.until || !u.lineage.mu.TryLock() {
		return s
	}
	defer u.lineage.mu.Unlock()
	if newer := u.snap.Load(); now < newer.until {
		return newer
	}
	return u.rebuild(now)
}

// rebuild makes the snapshot anew. It is called with lineage.mu held.
func (u *Upstream) rebuild(now core.Instant) *snapshot {
	s := &snapshot{until: math.MaxInt64}
	all, up := 0, 0
	for _, e := range u.endpoints {
		if e.weight == 0 {
			continue
		}
		all++
		if u.admitMember(s, e, now) {
			up++
		}
	}
	if up == 0 || float64(up) < float64(u.cfg.Panic)*float64(all) {
		u.forceMembers(s, now)
	}
	if len(s.members) > 0 {
		s.picker = u.newPicker(s.members)
	}
	old := u.snap.Swap(s)
	u.logPanic(old, s, up, all)
	return s
}

// admitMember adds e to s when it may be picked, and reports whether it may be without a probe.
func (u *Upstream) admitMember(s *snapshot, e *Endpoint, now core.Instant) bool {
	out := core.Instant(e.peer.out.Load())
	if out != 0 && now < out {
		s.until = min(s.until, out)
		return false
	}
	if e.peer.sick.Load() {
		return false
	}
	s.add(e, now)
	if out != 0 {
		s.probing = append(s.probing, e)
		return false
	}
	return true
}

func (u *Upstream) forceMembers(s *snapshot, now core.Instant) {
	s.forced = true
	s.members, s.probing = nil, nil
	for _, e := range u.endpoints {
		if e.weight > 0 {
			s.add(e, now)
		}
	}
}

// rampSteps is in how many steps a weight grows in slow start.
const rampSteps = 20

func (s *snapshot) add(e *Endpoint, now core.Instant) {
	ramp := e.ramp(now)
	s.members = append(s.members, member{e, float64(e.weight) * ramp})
	if ramp < 1 {
		step := max(e.up.cfg.SlowStart.Std()/rampSteps, time.Millisecond)
		s.until = min(s.until, now.Add(step))
	}
}

// logPanic says once that panic mode begins or ends.
func (u *Upstream) logPanic(old, s *snapshot, up, all int) {
	before := old != nil && old.forced
	if s.forced == before || all == 0 || u.lineage.newest() != u {
		return
	}
	level, what := slog.LevelWarn, "all are used"
	if !s.forced {
		level, what = slog.LevelInfo, "only those are used again"
	}
	u.log.Log(context.Background(), level, fmt.Sprintf("upstream %s has %d of %d endpoints available: %s", u.name, up, all, what))
}

// choose picks an endpoint and reserves a place at it; nil when none has one.
func (u *Upstream) choose(x *core.Exchange, now core.Instant) *Endpoint {
	for range 3 {
		s := u.current(now)
		if e := u.chooseFrom(s, x, now); e != nil {
			return e
		}
		if s == u.snap.Load() {
			return nil
		}
	}
	return nil
}

func (u *Upstream) chooseFrom(s *snapshot, x *core.Exchange, now core.Instant) *Endpoint {
	if e := u.chooseProbe(s, x, now); e != nil {
		return e
	}
	if s.picker == nil {
		return nil
	}
	if e := s.picker.pick(x, now); e != nil && e.take(now, s.forced) {
		return e
	}
	return s.scan(x, now, u.random())
}

// chooseProbe sends the first request that comes to an endpoint whose ejection is over. A policy
// might never pick it: ewma remembers how bad it was. A second try of an exchange is spared, and
// so are requests that hash wants elsewhere.
func (u *Upstream) chooseProbe(s *snapshot, x *core.Exchange, now core.Instant) *Endpoint {
	if len(s.probing) == 0 || len(x.Attempts) > 1 || u.table != nil {
		return nil
	}
	for _, e := range s.probing {
		if e.free(x) && e.take(now, s.forced) {
			return e
		}
	}
	return nil
}

// scan takes any member with a place, one that was not tried if it can.
func (s *snapshot) scan(x *core.Exchange, now core.Instant, random uint64) *Endpoint {
	n := len(s.members)
	start := below(random, n)
	for _, again := range []bool{false, true} {
		for i := range n {
			e := s.members[(start+i)%n].e
			if e.open() && (again || !tried(x, e)) && e.take(now, s.forced) {
				return e
			}
		}
	}
	return nil
}

// below maps a random number to 0 <= i < n.
func below(random uint64, n int) int { return int(random >> 32 * uint64(n) >> 32) }
