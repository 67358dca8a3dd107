package watch

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/astern-dev/astern/internal/detect"
)

// Problem says why what was read of somewhere can't be gone on with; "" when it can.
func (w *Watched) Problem() string {
	if why := w.Levels.problem(); why != "" {
		return why
	}
	for _, p := range []*Panels{w.Quiet, w.After} {
		if why := p.problem(); why != "" {
			return why
		}
	}
	for name, p := range w.Pasts {
		if why := p.problem(); why != "" {
			return "the past of " + name + ": " + why
		}
	}
	if w.Trial != nil {
		return w.Trial.Problem()
	}
	return ""
}

// Problem is that of Watched.
func (t *Trial) Problem() string { return t.Panels.problem() }

func (p *Panels) problem() string {
	if p == nil {
		return ""
	}
	if why := p.Levels.problem(); why != "" {
		return why
	}
	for _, panel := range []*detect.Panel{p.Beside, p.Alone, p.Small} {
		switch {
		case panel == nil:
		case len(panel.Judges) == 0 || slices.Contains(panel.Judges, nil):
			return "a panel without a judge"
		case !(panel.Level > 0 && panel.Level < 1):
			return fmt.Sprintf("a false-alarm probability of %v", panel.Level)
		}
	}
	return ""
}

func (l Levels) problem() string {
	for _, level := range []float64{l.All, l.Beside} {
		if !(level >= 0 && level < 1) {
			return fmt.Sprintf("a false-alarm probability of %v", level)
		}
	}
	return ""
}

func (p *Past) problem() string {
	switch {
	case p == nil:
		return "there is none"
	case len(p.Pieces) > int(pastAge/pieceNew)+1:
		return fmt.Sprintf("it has %d pieces", len(p.Pieces))
	case !slices.IsSortedFunc(p.Pieces, func(a, b Piece) int { return cmp.Compare(a.From, b.From) }):
		return "its pieces are not in their order"
	}
	return ""
}
