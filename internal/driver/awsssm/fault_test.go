package awsssm

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi/awstest"
	"github.com/astern-dev/astern/internal/canary"
	emulated "github.com/astern-dev/astern/internal/lab"
	"github.com/astern-dev/astern/internal/lab/labtest"
)

// Every call of every plan meets every fault, and somebody else.
func TestEveryFault(t *testing.T) {
	labtest.Run(t, awstest.Start(t).Moto, 16,
		labtest.Plan{Name: "an earlier value", New: func(t testing.TB, a *labtest.Account) labtest.World { return newTried(t, a, "").world() }},
		labtest.Plan{Name: "an earlier secret value", New: func(t testing.TB, a *labtest.Account) labtest.World {
			key, err := kms.NewFromConfig(a.Config).CreateKey(t.Context(), &kms.CreateKeyInput{})
			if err != nil {
				t.Fatal(err)
			}
			return newTried(t, a, *key.KeyMetadata.KeyId).world()
		}},
	)
}

// What a tried parameter holds, one after the other.
var firstValue, secondValue, theirValue = canary.Kept("the first"), canary.Kept("the second"), canary.Kept("theirs")

// tried is a parameter with two values; with a key they are encrypted.
type tried struct {
	*labtest.Account
	name, key string
	ssm       *ssm.Client
}

func newTried(t testing.TB, a *labtest.Account, key string) *tried {
	t.Helper()
	w := &tried{Account: a, name: "/" + a.ID + "/db", key: key, ssm: ssm.NewFromConfig(a.Config)}
	for _, value := range []string{firstValue, secondValue} {
		if err := w.put(value); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// put writes a value as its owner does.
func (w *tried) put(value string) error {
	in := &ssm.PutParameterInput{Name: &w.name, Value: &value, Type: types.ParameterTypeString, Overwrite: aws.Bool(true), Description: aws.String("of the shop")}
	if w.key != "" {
		in.Type, in.KeyId = types.ParameterTypeSecureString, &w.key
	}
	_, err := w.ssm.PutParameter(context.Background(), in)
	return err
}

// value is what the application reads, or why it can't.
func (w *tried) value() string {
	out, err := w.ssm.GetParameter(context.Background(), &ssm.GetParameterInput{Name: &w.name, WithDecryption: aws.Bool(true)})
	if err != nil {
		return err.Error()
	}
	return aws.ToString(out.Parameter.Value)
}

// world is the way back to the first value.
func (w *tried) world() labtest.World {
	c := astern.Component{Environment: "test", Name: w.ID, Kind: Kind}
	c.Settings, _ = json.Marshal(Settings{Settings: w.Settings, Parameter: w.name})
	return labtest.World{Component: c, Driver: New, Secrets: []string{firstValue, secondValue, theirValue},
		Route: func(ctx context.Context, d astern.Driver) (astern.Route, error) {
			s, err := d.Observer.Observe(ctx, c, astern.Scope{})
			if err != nil {
				return astern.Route{}, err
			}
			return d.Router.Route(c, s, astern.Target{Address: c.Address(), Revision: "1"}, astern.Options{Verb: astern.VerbRollback, Percent: 100})
		},
		Effect:  func(e emulated.Entry) string { return e.Operation },
		Reached: func() string { return labtest.Differs("the value", w.value(), firstValue) },
		// PutParameter has no condition: docs/promises.md names the window.
		Others: []labtest.Other{
			{Name: "writes a value", Do: func() error { return w.put(theirValue) }, Kept: func() string { return labtest.Differs("the value", w.value(), theirValue) },
				Window: "PutParameter"},
			{Name: "deletes the parameter", Do: func() error {
				_, err := w.ssm.DeleteParameter(context.Background(), &ssm.DeleteParameterInput{Name: &w.name})
				return err
			}, Kept: func() string {
				if is := w.value(); !strings.Contains(is, "ParameterNotFound") {
					return "the parameter is there again"
				}
				return ""
			}, Window: "PutParameter"},
		},
	}
}
