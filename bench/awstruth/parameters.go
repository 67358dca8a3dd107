package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// parameter is a parameter with four versions.
type parameter struct {
	*world
	ssm *ssm.Client
	keyed
	is types.ParameterType
}

func parameters() *kind {
	needs := func(do func(context.Context, *parameter, *damage) error) func(context.Context, *damage) error {
		return func(ctx context.Context, d *damage) error { return do(ctx, d.subject.(*parameter), d) } // the kind's rows are for its own subject
	}
	// written writes so often, by somebody else.
	written := func(from, to int) func(context.Context, *damage) error {
		return needs(func(ctx context.Context, p *parameter, d *damage) error {
			for i := range from + d.rng.IntN(to-from+1) {
				if err := p.put(ctx, fmt.Sprintf("a stranger's value %d", i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	remove := needs(func(ctx context.Context, p *parameter, _ *damage) error { return p.remove(ctx) })
	again := func(is types.ParameterType) func(context.Context, *damage) error {
		return needs(func(ctx context.Context, p *parameter, _ *damage) error {
			if err := p.later(ctx, 24*time.Hour); err != nil {
				return err
			}
			if err := p.remove(ctx); err != nil {
				return err
			}
			p.is, p.key = is, ""
			for i := range 2 {
				if err := p.put(ctx, fmt.Sprintf("made again %d", i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return &kind{name: "aws.ssm", shapes: []string{plainKey, ownKey}, make: makeParameter, rows: []row{
		{name: "written so often that earlier versions are gone", read: "GetParameterHistory", do: written(97, 101)},
		{name: "written so often that earlier versions are almost gone", read: "GetParameterHistory", do: written(90, 96)},
		{name: "written by somebody else", read: "GetParameterHistory", do: written(1, 3)},
		{name: "parameter deleted", read: "GetParameter", do: remove},
		{name: "parameter deleted, and made again with another type", read: "GetParameterHistory", do: again(types.ParameterTypeStringList)},
		{name: "parameter deleted, and made again", read: "GetParameterHistory: the dates of its versions", shapes: []string{plainKey}, do: again(types.ParameterTypeString)},
		{name: "a version has a label", read: "GetParameterHistory", one: true, do: needs(func(ctx context.Context, p *parameter, d *damage) error {
			number, err := strconv.ParseInt(d.target, 10, 64)
			if err == nil {
				_, err = p.ssm.LabelParameterVersion(ctx, &ssm.LabelParameterVersionInput{Name: &p.name, ParameterVersion: &number, Labels: []string{"stable"}})
			}
			return err
		})},
		{name: "key disabled", read: "DescribeKey", shapes: []string{ownKey}, do: needs(func(ctx context.Context, p *parameter, _ *damage) error { return p.disable(ctx) })},
		{name: "key pending deletion", read: "DescribeKey", shapes: []string{ownKey}, do: needs(func(ctx context.Context, p *parameter, _ *damage) error {
			return p.scheduleDeletion(ctx)
		})},
		{name: "its history can't be read", read: "GetParameterHistory", do: denied("ssm", "GetParameterHistory")},
		{name: "it can't be read", read: "GetParameter", do: denied("ssm", "GetParameter")},
		{name: "reading is throttled", read: "GetParameterHistory", do: throttled("ssm", "GetParameterHistory")},
		{name: "PutParameter denied", read: simulated, do: denies("ssm:PutParameter")},
		{name: "no policy allows PutParameter", read: simulated, do: allowsAllBut("ssm:PutParameter")},
		{name: "PutParameter denied by the organization", do: denied("ssm", "PutParameter")},
		{name: "PutParameter throttled", do: throttled("ssm", "PutParameter")},
		{name: "after the check: parameter deleted", read: "GetParameter", after: true, do: remove},
		{name: "after the check: earlier versions gone", read: "GetParameterHistory", after: true, do: written(100, 102)},
	}}
}

func makeParameter(ctx context.Context, w *world) (subject, error) {
	p := &parameter{world: w, ssm: ssm.NewFromConfig(w.aws), is: types.ParameterTypeString}
	var err error
	if p.keyed, err = makeKey(ctx, w); err != nil {
		return nil, err
	}
	if p.key != "" {
		p.is = types.ParameterTypeSecureString
	}
	if err := w.declare(fmt.Sprintf("kind: aws.ssm\nwith: {%s, parameter: %s}\n", w.with(), w.name)); err != nil {
		return nil, err
	}
	w.targets, w.current = []string{"1", "2", "3"}, "4"
	for _, rev := range append(w.targets, w.current) {
		if err := p.put(ctx, p.value(rev)); err != nil {
			return nil, err
		}
		if err := w.record(ctx, rev, ""); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *parameter) value(rev string) string { return "value " + rev + " of " + p.name }

// put writes a value as its owner does.
func (p *parameter) put(ctx context.Context, value string) error {
	in := &ssm.PutParameterInput{Name: &p.name, Type: p.is, Overwrite: aws.Bool(true), Value: &value}
	if p.key != "" {
		in.KeyId = &p.key
	}
	_, err := p.ssm.PutParameter(ctx, in)
	return err
}

func (p *parameter) remove(ctx context.Context) error {
	_, err := p.ssm.DeleteParameter(ctx, &ssm.DeleteParameterInput{Name: &p.name})
	return err
}

func (p *parameter) back(ctx context.Context) error {
	out, err := p.ssm.GetParameter(ctx, &ssm.GetParameterInput{Name: &p.name, WithDecryption: aws.Bool(true)})
	if err != nil || aws.ToString(out.Parameter.Value) == p.value(p.current) {
		return err
	}
	return p.put(ctx, p.value(p.current))
}

// byHand reads the version and writes its value.
func (p *parameter) byHand(ctx context.Context, target string) error {
	if why := p.locked(ctx); why != "" {
		return fmt.Errorf("reading version %s: %s", target, why)
	}
	out, err := p.ssm.GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String(p.name + ":" + target), WithDecryption: aws.Bool(true)})
	if err != nil {
		return err
	}
	return p.put(ctx, aws.ToString(out.Parameter.Value))
}

func (p *parameter) reached(ctx context.Context, target string) string {
	out, err := p.ssm.GetParameter(ctx, &ssm.GetParameterInput{Name: &p.name, WithDecryption: aws.Bool(true)})
	if err != nil {
		return seen(err)
	}
	if is := aws.ToString(out.Parameter.Value); is != p.value(target) {
		return "readers get " + is
	}
	return p.locked(ctx)
}
