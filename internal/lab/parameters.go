package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// parametersOverlays correct when a version of a parameter was written: by the lab's clock, not by moto's.
//
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_ParameterHistory.html
func (l *Lab) parametersOverlays() map[string]Overlay {
	out := map[string]Overlay{}
	for _, o := range []string{"GetParameter", "GetParameters", "GetParametersByPath", "GetParameterHistory", "DescribeParameters"} {
		out["ssm:"+o] = func(ctx context.Context, c *Call, next Next) Reply {
			r := next(ctx, c)
			var doc map[string]any
			d := json.NewDecoder(bytes.NewReader(r.Body))
			d.UseNumber() // versions stay as they are
			if r.Status != http.StatusOK || d.Decode(&doc) != nil {
				return r
			}
			for _, one := range append(objectsOf(doc["Parameters"]), objectOf(doc["Parameter"])) {
				if n, ok := one["LastModifiedDate"].(json.Number); ok {
					if seconds, err := n.Float64(); err == nil {
						one["LastModifiedDate"] = epoch(l.when(time.UnixMilli(int64(seconds * 1000))))
					}
				}
			}
			b, err := json.Marshal(doc)
			if err == nil {
				r.Body = b
			}
			return r
		}
	}
	return out
}
