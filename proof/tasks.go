package main

// tasks are the proofs, with the number of trials that docs/promises.md states.
var tasks = []task{
	{Name: "simulation", Package: "internal/engine", Test: "TestSimulation", Trials: 1_000_000, Chunk: 10_000},
	{Name: "power-cuts", Package: "internal/store/sqlite", Test: "TestPowerCuts", Trials: 25_000, Chunk: 500},      // four cuts each
	{Name: "damaged-state", Package: "internal/store/sqlite", Test: "TestDamagedState", Trials: 5_000, Chunk: 250}, // each damages in seven ways
	{Name: "failing-disk", Package: "internal/store/sqlite", Test: "TestEngineOnFailingDisk", Trials: 20_000, Chunk: 1_000},
}
