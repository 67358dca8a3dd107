package view

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// How often a live view is drawn, and how often a plain one repeats itself.
const (
	drawEvery     = 100 * time.Millisecond
	progressEvery = 5 * time.Second  // between two changes of the progress of one step
	repeatEvery   = 30 * time.Second // between two lines that say the same
)

// Progress shows an execution while it runs: redrawn in place on a terminal, one line an event elsewhere. It has no
// goroutine and no clock: Event and Tick drive it, and must not be called at the same time.
type Progress struct {
	w     io.Writer
	st    Style
	plan  astern.Plan
	steps stepIndex
	live  bool

	now, began time.Time
	stage      int // that is shown, from 0
	lanes      map[string]*liveLane
	gates      map[int]*liveGate
	names      []laneName // of the stage in named
	named      int
	state      text // paused, held or ended; nil while it runs

	drawn   time.Time
	dirty   bool
	frame   []int // widths of the lines on the screen
	printed map[string]printedLine
	err     error
}

// liveLane is the latest of a lane: a member of a stage, or a step outside a fleet.
type liveLane struct {
	status  StepStatus
	step    string // id without @MEMBER
	attempt int
	started time.Time
	text    string
	done    int
}

type liveGate struct {
	results []astern.CheckResult
	passAt  time.Time // of the last round, when it passed and none came between
	baked   time.Duration
}

type printedLine struct {
	text string
	at   time.Time
}

// NewProgress makes a view of the plan's execution. live redraws in place and needs a terminal (see StyleFor).
func NewProgress(w io.Writer, st Style, plan astern.Plan, live bool) *Progress {
	return &Progress{w: w, st: st, plan: plan, steps: indexSteps(plan), live: live, now: st.Now, named: -1,
		lanes: map[string]*liveLane{}, gates: map[int]*liveGate{}, printed: map[string]printedLine{}}
}

// Event takes the next record of the journal. Its time moves the view's clock forward.
func (p *Progress) Event(r astern.Record) {
	if p.began.IsZero() {
		p.began = r.At
	}
	if r.At.After(p.now) {
		p.now = r.At
	}
	stage := p.stage
	p.apply(r)
	if !p.live {
		if p.stage != stage || len(p.printed) == 0 {
			p.plainStage()
		}
		p.plain(r)
		return
	}
	p.dirty = true
	p.Tick(r.At)
}

// State says what is not in the journal: that the execution is held, or waits, and why. Running takes that back.
func (p *Progress) State(s ExecutionState, why string) {
	p.state = nil
	if s != StateRunning {
		p.state = append(tx(stateWords(s, "")), because(why, "")...)
	}
	p.dirty = true
	if line := p.state.plain(); !p.live && line != "" && p.printed["state"].text != line {
		p.printed["state"] = printedLine{text: line}
		p.write(tx(dim(p.st.clock(p.now)), "  ", p.state).render(p.st.Color) + "\n")
	}
	p.Tick(p.now)
}

// Tick moves the clock forward and redraws a live view when it is due.
func (p *Progress) Tick(now time.Time) {
	if now.After(p.now) {
		p.now = now
	}
	if !p.live || p.began.IsZero() {
		return
	}
	since := p.now.Sub(p.drawn)
	if since >= drawEvery && (p.dirty || since >= time.Second) {
		p.draw()
	}
}

// Resize tells a live view the new size of its terminal.
func (p *Progress) Resize(width, height int) {
	p.st.Width, p.st.Height = width, height
	p.dirty = true
}

// Close draws the last frame, which stays on the screen, and returns the first error of the writer.
func (p *Progress) Close() error {
	if p.live && p.dirty {
		p.draw()
	}
	if p.err != nil {
		return fmt.Errorf("writing the progress: %w", p.err)
	}
	return nil
}

func (p *Progress) write(s string) {
	if p.err == nil {
		_, p.err = io.WriteString(p.w, s)
	}
}

// laneOf returns the lane of a record's step.
func (p *Progress) laneOf(id string) (*liveLane, indexedStep, bool) {
	s, member, ok := p.steps.find(id)
	if !ok {
		return nil, s, false
	}
	key := laneKey(s.stage, member)
	if member == "" {
		key = laneKey(s.stage, "") + s.step.ID
	}
	if p.lanes[key] == nil {
		p.lanes[key] = &liveLane{status: StepPending}
	}
	return p.lanes[key], s, true
}

func laneKey(stage int, member string) string { return fmt.Sprintf("%d@%s", stage, member) }

// apply folds a record into what is shown.
func (p *Progress) apply(r astern.Record) {
	switch r.Kind {
	case astern.RecordTaken:
		p.state = nil
		for _, g := range p.gates {
			g.passAt = time.Time{}
		}
	case astern.RecordPaused, astern.RecordCancelled, astern.RecordEnded:
		p.state = recordText(r)
	case astern.RecordResumed:
		p.state = nil
	case astern.RecordRound:
		p.round(r)
	default:
		p.step(r)
	}
}

func (p *Progress) step(r astern.Record) {
	l, s, ok := p.laneOf(r.Step)
	if !ok {
		return
	}
	if s.stage > p.stage {
		p.stage = s.stage
	}
	l.step = s.step.ID
	switch r.Kind {
	case astern.RecordIntent:
		l.status, l.attempt, l.started, l.text = StepRunning, r.Attempt, r.At, ""
	case astern.RecordRefused:
		l.status, l.text = StepRefused, "the world has changed"
		if len(r.Differences) > 0 {
			l.text = r.Differences[0].String()
		}
	case astern.RecordDoubt:
		l.status, l.text = StepUnsure, r.Text
	case astern.RecordUnprepared:
		l.status, l.text, l.attempt = StepRetrying, r.Text, max(r.Attempt, l.attempt, 1)
	case astern.RecordAbsent:
		l.status, l.text, l.attempt = StepRetrying, "nothing of the attempt is in the world", max(r.Attempt, l.attempt)+1
	case astern.RecordSkipped:
		l.status, l.text, l.done = StepSkipped, r.Text, l.done+1
	case astern.RecordOp, astern.RecordSettled:
		if r.Op != nil {
			l.op(s.step, *r.Op)
		}
	}
}

func (l *liveLane) op(step *astern.Step, op astern.Op) {
	l.text = op.Progress
	switch op.Status {
	case astern.OpRunning:
		l.status = StepRunning
	case astern.OpDone:
		l.status, l.done = StepDone, l.done+1
	case astern.OpUnsure:
		l.status, l.text = StepUnsure, op.Error
	case astern.OpFailed:
		l.status, l.text = StepFailed, op.Error
		if op.Code.Transient() && l.attempt < step.Attempts {
			l.status, l.attempt = StepRetrying, l.attempt+1
		}
	}
}

func (p *Progress) round(r astern.Record) {
	i := r.Stage - 1
	if i < 0 || i >= len(p.plan.Stages) {
		return
	}
	p.stage = max(p.stage, i)
	g := p.gates[i]
	if g == nil {
		g = &liveGate{}
		p.gates[i] = g
	}
	g.results = r.Results
	switch {
	case !r.Gate:
	case roundVerdict(r.Results) != astern.Pass:
		g.passAt = time.Time{}
	default:
		if !g.passAt.IsZero() && r.At.After(g.passAt) {
			g.baked += r.At.Sub(g.passAt)
		}
		g.passAt = r.At
	}
}

// plainStage announces the stage that begins.
func (p *Progress) plainStage() {
	if p.stage >= len(p.plan.Stages) {
		return
	}
	t := tx(strong(fmt.Sprintf("stage %d of %d", p.stage+1, len(p.plan.Stages))), "  ", p.plan.Stages[p.stage].Title)
	p.write(t.render(p.st.Color) + "\n")
	p.printed["stage"] = printedLine{}
}

// plain prints a record in a line, unless it says what was said already.
func (p *Progress) plain(r astern.Record) {
	t := p.steps.recordText(r)
	bakes := p.bakes(r)
	if bakes != nil && roundVerdict(r.Results) == astern.Pass {
		t[0] = p.gates[r.Stage-1].word(bakes)
	}
	key := fmt.Sprintf("%s|%s|%d", r.Kind, r.Step, r.Stage)
	last, ok := p.printed[key]
	since := r.At.Sub(last.at)
	running := r.Op != nil && r.Op.Status == astern.OpRunning
	repeats := running || r.Kind == astern.RecordRound || r.Kind == astern.RecordDoubt
	switch {
	case !ok:
	case last.text == t.plain() && repeats && since < repeatEvery:
		return
	case running && since < progressEvery:
		return
	}
	if repeats {
		p.printed[key] = printedLine{t.plain(), r.At}
	} else {
		delete(p.printed, key) // of thousands of steps only those under way are kept
	}
	if bakes != nil {
		t = append(t, tx(", baked ", bakedOf(p.gates[r.Stage-1].baked, bakes.BakeSeconds))...)
	}
	p.write(tx(dim(p.st.clock(r.At)), "  ", t).render(p.st.Color) + "\n")
}

// bakes returns the gate that a record is a round of, where it bakes; else nil.
func (p *Progress) bakes(r astern.Record) *astern.Gate {
	if r.Kind != astern.RecordRound || !r.Gate || r.Stage > len(p.plan.Stages) || p.gates[r.Stage-1] == nil {
		return nil
	}
	if gate := p.plan.Stages[r.Stage-1].Gate; gate != nil && gate.BakeSeconds > 0 {
		return gate
	}
	return nil
}

// word is how the gate stands: checks that pass are no verdict before it has baked.
func (g *liveGate) word(gate *astern.Gate) span {
	v := roundVerdict(g.results)
	if v == astern.Pass && gate != nil && g.baked.Truncate(time.Second).Seconds() < float64(gate.BakeSeconds) {
		return accent("… baking")
	}
	return verdict(v)
}

func bakedOf(baked time.Duration, want int64) string {
	return seconds(min(baked.Truncate(time.Second).Seconds(), float64(want))) + " of " + seconds(float64(want))
}

// draw replaces the frame on the screen.
func (p *Progress) draw() {
	width := p.st.width() - 1 // the last column is left free: a terminal would wrap there
	var b strings.Builder
	if rows := p.rowsOnScreen(); rows > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\r\x1b[J", rows)
	}
	lines := p.lines()
	p.frame = p.frame[:0]
	for _, l := range lines {
		l = trimRight(l.cut(width))
		p.frame = append(p.frame, l.width())
		b.WriteString(l.render(p.st.Color) + "\n")
	}
	p.write(b.String())
	p.drawn, p.dirty = p.now, false
}

// rowsOnScreen is how many rows the last frame takes now; a terminal made narrower has wrapped its lines.
func (p *Progress) rowsOnScreen() int {
	rows := 0
	for _, w := range p.frame {
		rows += max((w+p.st.width()-1)/p.st.width(), 1)
	}
	return min(rows, p.st.height()-1)
}

// lines is the frame, fitted to the height: what needs a person first, what does not fit is counted.
func (p *Progress) lines() []text {
	budget := max(p.st.height()-1, 4)
	head := []text{tx(strong(title(p.plan)), dim("  "+seconds(max(p.now.Sub(p.began), 0).Truncate(time.Second).Seconds())))}
	var tail []text
	if p.stage < len(p.plan.Stages) {
		tail = p.gateLines()
	}
	if rest := len(p.plan.Stages) - p.stage - 1; rest > 0 {
		next := p.plan.Stages[p.stage+1]
		t := tx(dim(fmt.Sprintf("· %d  ", p.stage+2)), dim(next.Title))
		if rest > 1 {
			t = append(t, dim(fmt.Sprintf(" and %d more", rest-1)))
		}
		tail = append(tail, t)
	}
	if p.state != nil {
		tail = append(tail, p.state)
	}
	switch {
	case p.stage == 1:
		head = append(head, tx(good("✓ 1"), dim("  "+p.plan.Stages[0].Title)))
	case p.stage > 1:
		head = append(head, tx(good(fmt.Sprintf("✓ 1 to %d", p.stage)), dim("  done")))
	}
	if p.stage < len(p.plan.Stages) {
		names := p.laneNames()
		done := 0
		for _, n := range names {
			if l := p.lanes[n.key]; l != nil && l.finished(n.steps) {
				done++
			}
		}
		mark := accent(fmt.Sprintf("» %d", p.stage+1))
		if done == len(names) && p.stage == len(p.plan.Stages)-1 && p.state != nil {
			mark = good(fmt.Sprintf("✓ %d", p.stage+1))
		}
		head = append(head, tx(mark, "  ", strong(p.plan.Stages[p.stage].Title), dim("  "+count(int64(done))+" of "+count(int64(len(names)))+" done")))
		head = append(head, p.laneLines(names, budget-len(head)-len(tail))...)
	}
	if over := len(head) + len(tail) - budget; over > 0 && len(tail) > over {
		tail = tail[over:] // the latest state is the last line
	}
	return append(head, tail...)
}

// laneName is a lane of the stage that is shown.
type laneName struct {
	key, name string
	steps     int
}

func (p *Progress) laneNames() []laneName {
	if p.named == p.stage {
		return p.names
	}
	s := p.plan.Stages[p.stage]
	var names []laneName
	members, _ := stageMembers(p.plan, s)
	for _, m := range members {
		names = append(names, laneName{laneKey(p.stage, m), m, len(s.Steps)})
	}
	if s.Each == nil {
		for _, step := range s.Steps {
			names = append(names, laneName{laneKey(p.stage, "") + step.ID, step.ID, 1})
		}
	}
	p.names, p.named = names, p.stage
	return names
}

func (l *liveLane) finished(steps int) bool {
	return l.done >= steps && (l.status == StepDone || l.status == StepSkipped)
}

// urgency puts what needs a person first.
func (l *liveLane) urgency(steps int) int {
	switch {
	case l == nil:
		return 4
	case l.finished(steps):
		return 3
	case l.status == StepDone, l.status == StepSkipped:
		return 1
	}
	return urgency(l.status)
}

func (p *Progress) laneLines(names []laneName, budget int) []text {
	shown := names
	if len(names) > budget {
		shown = nil
		for u := 0; u <= 4; u++ {
			for _, n := range names {
				if p.lanes[n.key].urgency(n.steps) == u && len(shown) < max(budget-1, 0) {
					shown = append(shown, n)
				}
			}
		}
	}
	width := 0
	for _, n := range shown {
		width = min(max(width, tx(n.name).width()), 24)
	}
	var out []text
	for _, n := range shown {
		l := p.lanes[n.key]
		v := StepView{Status: StepPending}
		step := ""
		if l != nil {
			v = StepView{Status: l.status, Attempt: l.attempt, Progress: l.text, Error: l.text}
			if s, _, ok := p.steps.find(l.step); ok {
				v.Attempts = s.step.Attempts
			}
			if l.status == StepRunning {
				v.Started = &l.started
			}
			if l.step != n.name && !l.finished(n.steps) {
				step = l.step
			}
		}
		st := p.st
		st.Now = p.now
		name := tx("   ", pad(n.name, width), "  ")
		if step != "" {
			name = append(name, tx(step, "  ")...)
		}
		name = append(name, st.stepWords(v)...)
		if detail := stepDetail(v); detail.width() > 0 {
			name = append(append(name, span{"  ", rolePlain}), detail...)
		}
		out = append(out, name)
	}
	if rest := len(names) - len(shown); rest > 0 && budget > 0 {
		out = append(out, tx(dim(fmt.Sprintf("   and %s more", count(int64(rest))))))
	}
	return out
}

func (p *Progress) gateLines() []text {
	gate, g := p.plan.Stages[p.stage].Gate, p.gates[p.stage]
	if gate == nil && g == nil {
		return nil
	}
	if g == nil {
		return []text{append(tx(dim("   gate "), dim("· ")), gateWords(*gate)...)}
	}
	passed := 0
	var failing []text
	for _, r := range g.results {
		if r.Verdict == astern.Pass {
			passed++
		} else if len(failing) < 3 {
			failing = append(failing, tx("        ", verdict(r.Verdict), "  ", r.Check, "  ", r.Evidence))
		}
	}
	t := tx(dim("   gate "), g.word(gate), fmt.Sprintf("  %d of %s", passed, plural(int64(len(g.results)), "check")))
	if gate != nil && gate.BakeSeconds > 0 {
		t = append(t, tx(", baked ", bakedOf(g.baked, gate.BakeSeconds))...)
	}
	return append([]text{t}, failing...)
}
