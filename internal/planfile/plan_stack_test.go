package planfile_test

import "github.com/astern-dev/astern"

// stackPlan frees a stack stuck in UPDATE_ROLLBACK_FAILED because the archive of a function is gone. The archive is
// rebuilt; what it hashes to is known only then, and must be what was recorded. Whether another archive is missing too
// shows only when the stack tries again: the plan can't see its end.
func stackPlan() astern.Plan {
	const (
		stack    = "production/site-stack"
		artifact = "production/site-functions"
		recorded = "b1946ac92492d2347c6235b4d2611184b1946ac92492d2347c6235b4d2611184"
	)
	p := night("stack", astern.Intent{Verb: astern.VerbRepair, Addresses: []string{stack}, Reason: "the stack is stuck since 02:30"})
	p.Moves = []astern.Move{{Address: stack, Kind: "aws.cloudformation", From: "changeset-0118", To: "changeset-0117", Readiness: astern.AtRisk,
		Evidence: []astern.Evidence{
			evidence(astern.Broken, "s3://site-artifacts/fn/resize-0117.zip is gone, a lifecycle rule removed it on 2026-11-20"),
			evidence(astern.AtRisk, "commit 4be1c02 is there and its build is reproducible: recorded twice with the same hash")}}}
	p.Facts = []astern.Fact{
		fact(stack, "status", "UPDATE_ROLLBACK_FAILED", "2.continue"),
		fact(stack, "failed/resource", "ResizeFunction", "1.rebuild", "2.continue"),
		{Address: artifact, Path: "object/fn/resize-0117.zip", Absent: true, Seen: at("03:01:58"), Steps: []string{"1.upload"}},
		fact(artifact, "commit/resize-0117", "4be1c02d9e8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b", "1.rebuild"),
	}
	p.Stages = []astern.Stage{
		{Title: "Bring the archive back", OnFailure: astern.OnFailureHold, Steps: []astern.Step{
			more(step("1.rebuild", artifact, "jsonexec rebuild", "build resize-0117.zip from commit 4be1c02", map[string]astern.Arg{
				"commit": astern.Text("4be1c02d9e8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b"), "command": astern.List("make", "dist/resize.zip")}), func(s *astern.Step) {
				s.Outputs = map[string]string{"sha256": "string", "path": "string", "bytes": "int"}
				s.Limits = map[string]string{"sha256": recorded}
				s.Estimate, s.TimeoutSeconds = guess(120), 1800
				s.Command = "git worktree add ../rebuild 4be1c02 && make -C ../rebuild dist/resize.zip && sha256sum ../rebuild/dist/resize.zip"
			}),
			more(step("1.upload", artifact, "jsonexec upload", "put it back into the bucket", map[string]astern.Arg{
				"file": astern.OutputOf("1.rebuild", "path"), "sha256": astern.OutputOf("1.rebuild", "sha256"), "bucket": astern.Text("site-artifacts"),
				"key": astern.Text("fn/resize-0117.zip")}), func(s *astern.Step) {
				s.Outputs, s.Undo, s.Guards = map[string]string{"version_id": "string"}, astern.UndoInverse, []string{"1.rebuild"}
				s.Sets = []astern.Set{{Path: "object/fn/resize-0117.zip", Value: astern.OutputOf("1.upload", "version_id")}}
				s.Command = "aws s3api put-object --bucket site-artifacts --key fn/resize-0117.zip --body ../rebuild/dist/resize.zip"
			})}},
		{Title: "Let the stack go on", OnFailure: astern.OnFailureHold, Steps: []astern.Step{
			more(step("2.continue", stack, "aws.cloudformation continue-rollback", "continue the roll back of the stack", map[string]astern.Arg{
				"stack": astern.Text("site"), "skip": astern.List()}), func(s *astern.Step) {
				s.Outputs = map[string]string{"status": "string", "failed": "list"}
				s.Undo, s.UndoBecause = astern.UndoImpossible, "a stack that has rolled back can only be updated again"
				s.Guards = []string{"1.upload"}
				s.Sets = []astern.Set{{Path: "status", Value: astern.OutputOf("2.continue", "status")}, {Path: "failed/resource", Absent: true, Value: astern.Text("")}}
				s.Estimate, s.TimeoutSeconds, s.Attempts = measured(240, 180, 400, 2), 3600, 1
				s.Command = "aws cloudformation continue-update-rollback --stack-name site"
			})}},
	}
	p.Loss = []astern.Loss{}
	p.Estimate = guess(480)
	p.Then = &astern.Then{Because: "only when the stack tries again does it show whether a further archive is missing",
		Allowed: &astern.Allowed{Addresses: []string{stack, artifact}, Verbs: []string{"rebuild", "upload", "continue-rollback"}, Children: 3, Loss: []astern.Loss{}}}
	p.Notes = []string{"nothing is skipped: a skipped resource would be out of step with its template"}
	return p
}
