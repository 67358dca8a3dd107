package main

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/astern-dev/astern"
)

// hashOf writes the cloud's base64 as the ledger has hashes.
func hashOf(sum string) string {
	raw, _ := base64.StdEncoding.DecodeString(sum) // nothing is no hash
	return "sha256:" + hex.EncodeToString(raw)
}

// The shapes of secrets and parameters: under the key that every account has, and under one of the user's own.
const (
	plainKey = "plain"
	ownKey   = "own key"
)

// credential is a secret with four versions, each with a label of its own beside those of the cloud.
type credential struct {
	*world
	secrets *secretsmanager.Client
	keyed
	ids []string // of the versions, the last is current
}

// keyed is what has a key of the user's own.
type keyed struct {
	kms *kms.Client
	key string
}

// makeKey makes one where the shape has one.
func makeKey(ctx context.Context, w *world) (keyed, error) {
	k := keyed{kms: kms.NewFromConfig(w.aws)}
	if w.shape != ownKey {
		return k, nil
	}
	out, err := k.kms.CreateKey(ctx, &kms.CreateKeyInput{})
	if err == nil {
		k.key = *out.KeyMetadata.KeyId
	}
	return k, err
}

// locked says why what is encrypted with the key can't be read, "" when it can.
func (k keyed) locked(ctx context.Context) string {
	if k.key == "" {
		return ""
	}
	out, err := k.kms.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &k.key})
	if err != nil {
		return seen(err)
	}
	if !out.KeyMetadata.Enabled {
		return "nobody can decrypt it: its key is " + string(out.KeyMetadata.KeyState)
	}
	return ""
}

func (k keyed) disable(ctx context.Context) error {
	_, err := k.kms.DisableKey(ctx, &kms.DisableKeyInput{KeyId: &k.key})
	return err
}

func (k keyed) scheduleDeletion(ctx context.Context) error {
	_, err := k.kms.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: &k.key, PendingWindowInDays: aws.Int32(7)})
	return err
}

var (
	current = aws.String("AWSCURRENT")
)

func secrets() *kind {
	needs := func(do func(context.Context, *credential, *damage) error) func(context.Context, *damage) error {
		return func(ctx context.Context, d *damage) error { return do(ctx, d.subject.(*credential), d) } // the kind's rows are for its own subject
	}
	schedule := needs(func(ctx context.Context, c *credential, _ *damage) error {
		_, err := c.secrets.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &c.name, RecoveryWindowInDays: aws.Int64(7)})
		return err
	})
	refuse := needs(func(_ context.Context, c *credential, d *damage) error { return os.Remove(c.accepted(d.target)) })
	return &kind{name: "aws.secret", shapes: []string{plainKey, ownKey}, make: makeSecret, rows: []row{
		{name: "version without a label", read: "ListSecretVersionIds", one: true, do: needs(func(ctx context.Context, c *credential, d *damage) error {
			return c.unlabel(ctx, d.target)
		})},
		{name: "secret scheduled for deletion", read: "DescribeSecret", do: schedule},
		{name: "secret deleted", read: "DescribeSecret", do: needs(func(ctx context.Context, c *credential, _ *damage) error {
			_, err := c.secrets.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &c.name, ForceDeleteWithoutRecovery: aws.Bool(true)})
			return err
		})},
		{name: "rotation pending", read: "DescribeSecret", do: needs(func(ctx context.Context, c *credential, _ *damage) error {
			_, err := c.secrets.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &c.name, SecretString: aws.String("the next one"),
				ClientRequestToken: aws.String(versionID(c.world, 9)), VersionStages: []string{"AWSPENDING"}})
			return err
		})},
		{name: "a second operator made a new version", read: "DescribeSecret", do: needs(func(ctx context.Context, c *credential, _ *damage) error {
			_, err := c.secrets.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &c.name, SecretString: aws.String("a stranger's"),
				ClientRequestToken: aws.String(versionID(c.world, 8))})
			return err
		})},
		// The check is the user's command with a credential: it runs as a step of the plan, and not before.
		{name: "the credential is not taken any more", one: true, do: refuse},
		{name: "the database takes no credential", do: needs(func(_ context.Context, c *credential, _ *damage) error {
			return os.RemoveAll(c.accepted(""))
		})},
		{name: "key disabled", read: "DescribeKey", shapes: []string{ownKey}, do: needs(func(ctx context.Context, c *credential, _ *damage) error { return c.disable(ctx) })},
		{name: "key pending deletion", read: "DescribeKey", shapes: []string{ownKey}, do: needs(func(ctx context.Context, c *credential, _ *damage) error {
			return c.scheduleDeletion(ctx)
		})},
		{name: "the secret can't be read", read: "DescribeSecret", do: denied("secretsmanager", "DescribeSecret")},
		{name: "its versions can't be listed", read: "ListSecretVersionIds", do: denied("secretsmanager", "ListSecretVersionIds")},
		{name: "reading is throttled", read: "DescribeSecret", do: throttled("secretsmanager", "DescribeSecret")},
		{name: "no check tries the credential", read: "astern.yaml", do: func(_ context.Context, d *damage) error { return d.redeclare(", tries: works", "") }},
		{name: "UpdateSecretVersionStage denied", read: simulated, do: denies("secretsmanager:UpdateSecretVersionStage")},
		{name: "no policy allows UpdateSecretVersionStage", read: simulated, do: allowsAllBut("secretsmanager:UpdateSecretVersionStage")},
		{name: "UpdateSecretVersionStage denied by the organization", do: denied("secretsmanager", "UpdateSecretVersionStage")},
		{name: "UpdateSecretVersionStage throttled", do: throttled("secretsmanager", "UpdateSecretVersionStage")},
		{name: "after the check: secret scheduled for deletion", read: "DescribeSecret", after: true, do: schedule},
		{name: "after the check: the credential is not taken any more", after: true, one: true, do: refuse},
		{name: "after the check: key disabled", read: "DescribeKey", after: true, shapes: []string{ownKey},
			do: needs(func(ctx context.Context, c *credential, _ *damage) error { return c.disable(ctx) })},
	}}
}

// versionID is one as a client chooses it.
func versionID(w *world, n int) string {
	return fmt.Sprintf("00000000-0000-4000-8000-%s%d", w.account[1:], n)
}

func makeSecret(ctx context.Context, w *world) (subject, error) {
	c := &credential{world: w, secrets: secretsmanager.NewFromConfig(w.aws)}
	var err error
	if c.keyed, err = makeKey(ctx, w); err != nil {
		return nil, err
	}
	err = w.declare(fmt.Sprintf("kind: aws.secret\nchecks:\n  works: {command: {argv: [test, -f, %q]}, effects: none}\nwith: {%s, secret: %s, tries: works}\n",
		c.accepted("{revision}"), w.with(), w.name))
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(c.accepted(""), 0o700); err != nil {
		return nil, err
	}
	for i := range 4 {
		id, value := versionID(w, i+1), fmt.Sprintf("password %d of %s", i+1, w.name)
		if i == 0 {
			in := &secretsmanager.CreateSecretInput{Name: &w.name, SecretString: &value, ClientRequestToken: &id}
			if c.key != "" {
				in.KmsKeyId = &c.key
			}
			_, err = c.secrets.CreateSecret(ctx, in)
		} else {
			_, err = c.secrets.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &w.name, SecretString: &value, ClientRequestToken: &id})
		}
		if err == nil {
			err = os.WriteFile(c.accepted(id), nil, 0o600)
		}
		if err == nil {
			err = w.record(ctx, id, "")
		}
		if err != nil {
			return nil, fmt.Errorf("version %d: %w", i+1, err)
		}
		c.ids = append(c.ids, id)
	}
	w.targets, w.current = c.ids[:3], c.ids[3]
	for i, id := range c.ids { // moto takes all labels from a version when the next one is made
		_, err = c.secrets.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{SecretId: &w.name, VersionStage: label(i), MoveToVersionId: &id})
		if err != nil {
			return nil, err
		}
	}
	return c, nil
}

// accepted is the file that is there as long as the database takes a version's credential; that of "" is their folder.
func (c *credential) accepted(id string) string { return filepath.Join(c.home, "database", id) }

func label(i int) *string { return aws.String(fmt.Sprintf("release-%d", i+1)) }

// unlabel takes every label from a version.
func (c *credential) unlabel(ctx context.Context, id string) error {
	out, err := c.secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &c.name})
	if err != nil {
		return err
	}
	for _, stage := range out.VersionIdsToStages[id] {
		_, err := c.secrets.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{SecretId: &c.name, VersionStage: &stage, RemoveFromVersionId: &id})
		if err != nil {
			return err
		}
	}
	return nil
}

// move moves AWSCURRENT.
func (c *credential) move(ctx context.Context, to string) error {
	out, err := c.secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &c.name})
	if err != nil {
		return err
	}
	in := &secretsmanager.UpdateSecretVersionStageInput{SecretId: &c.name, VersionStage: current, MoveToVersionId: &to}
	for id, stages := range out.VersionIdsToStages {
		for _, stage := range stages {
			if stage == *current {
				in.RemoveFromVersionId = &id
			}
		}
	}
	if aws.ToString(in.RemoveFromVersionId) == to {
		return nil
	}
	_, err = c.secrets.UpdateSecretVersionStage(ctx, in)
	return err
}

func (c *credential) back(ctx context.Context) error { return c.move(ctx, c.current) }

// byHand tries the credential, as the plan would have it, and moves the label.
func (c *credential) byHand(ctx context.Context, target string) error {
	if _, err := os.Stat(c.accepted(target)); err != nil {
		return astern.Errorf(astern.Refused, "the database does not take it")
	}
	return c.move(ctx, target)
}

func (c *credential) reached(ctx context.Context, target string) string {
	out, err := c.secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &c.name})
	if err != nil {
		return seen(err)
	}
	if id := aws.ToString(out.VersionId); id != target {
		return "readers get version " + id
	}
	if want := fmt.Sprintf("password %s of %s", target[len(target)-1:], c.name); aws.ToString(out.SecretString) != want {
		return "readers get another value"
	}
	if _, err := os.Stat(c.accepted(target)); err != nil {
		return "the database does not take it"
	}
	return c.locked(ctx)
}
