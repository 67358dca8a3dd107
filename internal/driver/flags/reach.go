package flags

import "github.com/astern-dev/astern"

// Reach reads how many of all get the feature: all or nobody where there is no targeting, the weights of a fractional
// distribution of everybody. What segments make of all is not in the file.
func (router) Reach(_ astern.Component, s astern.State, flag string) (percent float64, known bool) {
	content, ok := s.Get("content")
	if _, invalid := s.Get("problem"); invalid || !ok || !content.Known() {
		return 0, false
	}
	d, err := read([]byte(content.Text))
	if err != nil {
		return 0, false
	}
	f := d.flags[flag]
	if f == nil {
		return 0, false
	}
	if f.member("state").text == "DISABLED" {
		return 0, true
	}
	off := offVariant(f)
	if off == "" {
		return 0, false
	}
	targeting := f.member("targeting")
	if targeting == nil || len(targeting.items) == 0 {
		if usual := f.member("defaultVariant"); usual == nil || usual.kind != kindString || usual.text == off {
			return 0, usual != nil && usual.kind == kindString
		}
		return 100, true
	}
	weights := targeting.member("fractional")
	if weights == nil || len(targeting.items) != 1 || weights.kind != kindList {
		return 0, false
	}
	all, err := d.shares(f, weights)
	var on, sum int64
	for _, x := range all {
		if sum += x.weight; x.variant != off {
			on += x.weight
		}
	}
	if err != nil || sum == 0 {
		return 0, false
	}
	return 100 * float64(on) / float64(sum), true
}
