package awssecret

import (
	"context"
	"encoding/json"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi/awstest"
	"github.com/astern-dev/astern/internal/canary"
	emulated "github.com/astern-dev/astern/internal/lab"
	"github.com/astern-dev/astern/internal/lab/labtest"
)

// Every call of every plan meets every fault, and somebody else.
func TestEveryFault(t *testing.T) {
	labtest.Run(t, awstest.Start(t).Moto, 10, labtest.Plan{Name: "stage moved", New: newTried})
}

// What the versions of a tried secret hold.
var firstValue, secondValue, theirValue = canary.Kept("the first"), canary.Kept("the second"), canary.Kept("theirs")

// tried is a secret with two versions, encrypted by a key of its own.
type tried struct {
	*labtest.Account
	secrets  *secretsmanager.Client
	old, new string
	theirs   string
}

// put makes a new version, which becomes the current one.
func (w *tried) put(value string) (string, error) {
	out, err := w.secrets.PutSecretValue(context.Background(), &secretsmanager.PutSecretValueInput{SecretId: &w.ID, SecretString: &value})
	if err != nil {
		return "", err
	}
	return *out.VersionId, nil
}

// describe is the secret as it is.
func (w *tried) describe() (*secretsmanager.DescribeSecretOutput, error) {
	return w.secrets.DescribeSecret(context.Background(), &secretsmanager.DescribeSecretInput{SecretId: &w.ID})
}

// current is the version that applications get, or why that can't be told.
func (w *tried) current() string {
	out, err := w.describe()
	if err != nil {
		return err.Error()
	}
	for version, stages := range out.VersionIdsToStages {
		if slices.Contains(stages, labelCurrent) {
			return version
		}
	}
	return "nothing"
}

func newTried(t testing.TB, a *labtest.Account) labtest.World {
	t.Helper()
	w := &tried{Account: a, secrets: secretsmanager.NewFromConfig(a.Config)}
	key, err := kms.NewFromConfig(a.Config).CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	first, err := w.secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &a.ID, SecretString: aws.String(firstValue), KmsKeyId: key.KeyMetadata.KeyId})
	if err != nil {
		t.Fatal(err)
	}
	w.old = *first.VersionId
	if w.new, err = w.put(secondValue); err != nil {
		t.Fatal(err)
	}
	c := astern.Component{Environment: "test", Name: a.ID, Kind: Kind, Checks: []astern.Check{{Name: "login", Effects: astern.EffectsNone,
		Command: &astern.CommandCheck{Argv: []string{"./login", "{revision}"}}}}}
	c.Settings, _ = json.Marshal(Settings{Settings: a.Settings, Secret: a.ID, Tries: "login"})
	return labtest.World{Component: c, Driver: New, Secrets: []string{firstValue, secondValue, theirValue}, Others: w.others(),
		Route: func(ctx context.Context, d astern.Driver) (astern.Route, error) {
			s, err := d.Observer.Observe(ctx, c, astern.Scope{})
			if err != nil {
				return astern.Route{}, err
			}
			return d.Router.Route(c, s, astern.Target{Address: c.Address(), Revision: w.old}, astern.Options{Verb: astern.VerbRollback, Percent: 100})
		},
		Effect:  func(e emulated.Entry) string { return e.Operation },
		Reached: func() string { return labtest.Differs("the current version", w.current(), w.old) },
	}
}

// others are what somebody else does meanwhile.
func (w *tried) others() []labtest.Other {
	return []labtest.Other{
		{Name: "puts a new value", Do: func() (err error) {
			w.theirs, err = w.put(theirValue)
			return err
		}, Kept: func() string { return labtest.Differs("the current version", w.current(), w.theirs) }},
		{Name: "deletes the secret", Do: func() error {
			_, err := w.secrets.DeleteSecret(context.Background(), &secretsmanager.DeleteSecretInput{SecretId: &w.ID})
			return err
		}, Kept: func() string {
			if out, err := w.describe(); err == nil && out.DeletedDate == nil {
				return "it is there again"
			}
			return ""
		}},
		{Name: "deletes the secret for good", Do: func() error {
			_, err := w.secrets.DeleteSecret(context.Background(), &secretsmanager.DeleteSecretInput{SecretId: &w.ID, ForceDeleteWithoutRecovery: aws.Bool(true)})
			return err
		}, Kept: func() string {
			if _, err := w.describe(); err == nil {
				return "it is there again"
			}
			return ""
		}},
		{Name: "begins a rotation", Do: func() (err error) {
			out, err := w.secrets.PutSecretValue(context.Background(), &secretsmanager.PutSecretValueInput{SecretId: &w.ID, SecretString: aws.String(theirValue),
				VersionStages: []string{labelPending}})
			if err == nil {
				w.theirs = *out.VersionId
			}
			return err
		}, Kept: func() string {
			out, err := w.describe()
			if err != nil {
				return err.Error()
			}
			if !slices.Contains(out.VersionIdsToStages[w.theirs], labelPending) {
				return "the label AWSPENDING was moved"
			}
			return ""
		}},
	}
}
