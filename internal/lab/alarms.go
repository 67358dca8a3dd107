package lab

import "time"

func (l *Lab) firing(scope *Call, names []string, at time.Time) []string { return nil }
func (l *Lab) longestAlarm(scope *Call, names []string) time.Duration    { return 0 }
func (l *Lab) firstFiring(scope *Call, arns []string, from, to time.Time) (string, time.Time, bool) {
	return "", time.Time{}, false
}
