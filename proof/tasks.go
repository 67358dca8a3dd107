package main

// tasks are the proofs, with the number of trials that docs/promises.md states.
var tasks = []task{
	{Name: "simulation", Package: "internal/engine", Test: "TestSimulation", Trials: 1_000_000, Chunk: 10_000},
	{Name: "tampering", Package: "internal/planner", Test: "TestTampering", Trials: 10_000, Chunk: 30},
	{Name: "injection", Package: "internal/driver/hostservice", Test: "TestInjection", Trials: 5_000, Chunk: 80},
	{Name: "hostile command lines", Package: "cmd/astern", Test: "TestHostileCommandLines", Trials: 50_000, Chunk: 2_000},
}
