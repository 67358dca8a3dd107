package sqlite_test

import (
	"slices"

	"github.com/astern-dev/astern"
)

// model is what the contract of leases and journals comes to, without a store. Executions are numbered from 0.
type model struct {
	plans   map[string]int // plan -> its one execution
	all     []modelExecution
	leases  map[string]int // address -> execution
	highest int64          // fence
}

type modelExecution struct {
	parent    int // -1 for none
	addresses []string
	fence     int64
	journal   []astern.RecordKind
	ended     bool
}

// create answers the execution, or -1 when somebody who is no elder holds an address.
func (m *model) create(plan string, parent int, addresses []string) int {
	if n, ok := m.plans[plan]; ok {
		return n
	}
	for _, a := range addresses {
		if holder, ok := m.leases[a]; ok && !slices.Contains(m.elders(parent), holder) {
			return -1
		}
	}
	n := len(m.all)
	m.plans[plan], m.all = n, append(m.all, modelExecution{parent: parent, addresses: addresses})
	for _, a := range addresses {
		m.leases[a] = n
	}
	return n
}

func (m *model) elders(n int) (out []int) {
	for ; n >= 0; n = m.all[n].parent {
		out = append(out, n)
	}
	return out
}

// write answers "" or the code of the refusal. Fence 0 is a person's.
func (m *model) write(n int, fence int64, kind astern.RecordKind) astern.Code {
	e := &m.all[n]
	if fence > 0 && fence != e.fence {
		return astern.Conflict
	} else if e.ended {
		return astern.Refused
	}
	if e.journal = append(e.journal, kind); kind == astern.RecordEnded {
		e.ended = true
		m.free(n)
	}
	return ""
}

// free gives the leases back to the nearest elder that has not ended and wants them.
func (m *model) free(n int) {
	for a, holder := range m.leases {
		if holder == n {
			delete(m.leases, a)
			heir := slices.IndexFunc(m.elders(n), func(e int) bool { return !m.all[e].ended && slices.Contains(m.all[e].addresses, a) })
			if heir >= 0 {
				m.leases[a] = m.elders(n)[heir]
			}
		}
	}
}
