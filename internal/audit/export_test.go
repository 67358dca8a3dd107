package audit

// Break has the log call step before each change of a file, and fail there when that fails.
func Break(l *Log, step func(string) error) { l.step = step }
