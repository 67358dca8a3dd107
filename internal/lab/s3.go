package lab

import "context"

// Expired is an object, or a version of one, that a lifecycle rule took away.
type Expired struct {
	Bucket    string `json:"bucket"`
	Key       string `json:"key"`
	VersionID string `json:"version_id,omitempty"`
	Rule      string `json:"rule"`
}

// Expire runs the lifecycle rules of all buckets, by the lab's clock.
func (l *Lab) Expire(ctx context.Context) ([]Expired, error) { return []Expired{}, nil }
