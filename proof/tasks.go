package main

// tasks are the proofs, with the number of trials that docs/promises.md states.
var tasks = []task{
	{Name: "simulation", Package: "internal/engine", Test: "TestSimulation", Trials: 900_000, Chunk: 10_000},
	{Name: "house", Package: "internal/app", Test: "TestHouseSimulation", Trials: 100_000, Chunk: 1_000},
}
