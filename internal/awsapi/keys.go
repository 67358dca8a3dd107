package awsapi

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// Keys looks at keys of KMS, at each once.
type Keys struct {
	client *kms.Client
	seen   map[string]key
}

// key is what was seen of one.
type key struct {
	state string
	dies  *time.Time
	err   error
}

// NewKeys returns Keys that have seen none.
func NewKeys(c aws.Config) *Keys { return &Keys{kms.NewFromConfig(c), map[string]key{}} }

// Describe notes for a revision what is with the key that encrypts it: key/REV is its state ("Enabled", "gone"), key-dies/REV when
// it is deleted.
// https://docs.aws.amazon.com/kms/latest/APIReference/API_DescribeKey.html
func (all *Keys) Describe(ctx context.Context, sight *Sight, rev, id string) {
	k, ok := all.seen[id]
	if !ok {
		out, err := all.client.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &id})
		switch {
		case Is(err, "NotFoundException"):
			k.state = "gone"
		case err != nil:
			k.err = Explain(err, "looking at the key that encrypts it", id)
		default:
			k.state, k.dies = string(out.KeyMetadata.KeyState), out.KeyMetadata.DeletionDate
		}
		all.seen[id] = k
	}
	switch {
	case k.err != nil:
		sight.Unknown("key/"+rev, k.err)
		sight.Fail(k.err, []string{"key-dies/" + rev})
	case k.state == string(types.KeyStatePendingDeletion) && k.dies != nil:
		sight.Known("key-dies/"+rev, k.dies.UTC().Format(time.RFC3339))
		sight.Known("key/"+rev, k.state)
	default:
		sight.Known("key/"+rev, k.state)
	}
}
