package main

// tasks are the proofs, with the number of trials that docs/promises.md states.
var tasks = []task{
	{Name: "operators", Package: "cmd/astern", Test: "TestTwoOperatorsAtOnce", Trials: 1000, Chunk: 30},
	{Name: "overtaken", Package: "cmd/astern", Test: "TestPausedOperatorIsOvertaken", Trials: 300, Chunk: 6},
	{Name: "overtaken-minutes", Package: "cmd/astern", Test: "TestPausedForMinutes", Trials: 4, Chunk: 4},
	{Name: "operators-ssh", Package: "cmd/astern", Test: "TestTwoOperatorsAtOnceOverSSH", Trials: 200, Chunk: 15},
	{Name: "operators-site", Package: "cmd/astern", Test: "TestTwoOperatorsOfASite", Trials: 200, Chunk: 20},
	{Name: "operators-flag", Package: "cmd/astern", Test: "TestTwoOperatorsOfAFlag", Trials: 200, Chunk: 20},
	{Name: "overtaken-ssh", Package: "cmd/astern", Test: "TestPausedOperatorIsOvertakenOverSSH", Trials: 60, Chunk: 4},
	{Name: "claims", Package: "internal/driver/hostservice", Test: "TestClaimsAreLinearizable", Trials: 500, Chunk: 15},
	{Name: "windows", Package: "internal/driver/hostservice", Test: "TestWindowIsMeasured", Trials: 300, Chunk: 60},
	{Name: "program-windows", Package: "cmd/astern", Test: "TestProgramWindowIsMeasured", Trials: 100, Chunk: 50},
	{Name: "links-raced", Package: "internal/driver/hostservice", Test: "TestChangesWhileLinksAreSwapped", Trials: 10_000, Chunk: 500},
	{Name: "claims-raced", Package: "internal/driver/hostservice", Test: "TestClaimsWhileLinksAreSwapped", Trials: 5_000, Chunk: 200},
	{Name: "looks-raced", Package: "internal/driver/hostservice", Test: "TestLooksWhileLinksAreSwapped", Trials: 20_000, Chunk: 500},
	{Name: "site-links-raced", Package: "internal/driver/sitedir", Test: "TestChangesWhileLinksAreSwapped", Trials: 300, Chunk: 50}, // of each of six verbs and exchanges
	{Name: "stopped-site", Package: "internal/driver/sitedir", Test: "TestStoppedIsNeverLate", Trials: 120, Chunk: 24},              // each command
	{Name: "flags-links-raced", Package: "internal/driver/flags", Test: "TestChangesWhileLinksAreSwapped", Trials: 600, Chunk: 100}, // of each of three exchanges
	{Name: "stopped-flags", Package: "internal/driver/flags", Test: "TestStoppedIsNeverLate", Trials: 60, Chunk: 20},                // each command
	{Name: "full-root", Package: "internal/driver/hostservice", Test: "TestFullAnywhere", Trials: 19, Chunk: 5},                     // each page and file that it takes
	{Name: "full-site", Package: "internal/driver/sitedir", Test: "TestFullAnywhere", Trials: 176, Chunk: 22},                       // the same
	{Name: "full-flags", Package: "internal/driver/flags", Test: "TestFullAnywhere", Trials: 18, Chunk: 18},                         // the same
	{Name: "full-audit", Package: "internal/audit", Test: "TestFullAnywhere", Trials: 27, Chunk: 27},                                // the same
	{Name: "full-out", Package: "cmd/astern", Test: "TestFullOut", Trials: 16, Chunk: 16},                                           // the same
	{Name: "full-state", Package: "cmd/astern", Test: "TestFullState", Trials: 240, Chunk: 40},                                      // the same
	{Name: "loud-commands", Package: "internal/driver/hostservice", Test: "TestGigabytes", Trials: 1024, Chunk: 1024},               // megabytes of each command
	{Name: "loud-checks", Package: "internal/check", Test: "TestGigabytes", Trials: 1024, Chunk: 1024},                              // the same
	{Name: "simulation", Package: "internal/engine", Test: "TestSimulation", Trials: 900_000, Chunk: 10_000},
	{Name: "loop", Package: "internal/engine", Test: "TestLoopSimulation", Trials: 100_000, Chunk: 1_000},
	{Name: "house", Package: "internal/app", Test: "TestHouseSimulation", Trials: 100_000, Chunk: 1_000},
	{Name: "killed-anywhere", Package: "internal/app", Test: "TestKilledAnywhere", Trials: 4, Chunk: 1},                    // quarters of all writes, before and after each
	{Name: "forged", Package: "internal/app", Test: "TestNobodyVouches", Trials: 10, Chunk: 1},                             // tenths of all single changes
	{Name: "ecs-faults", Package: "internal/driver/awsecs", Test: "TestEveryFault", Trials: 240, Chunk: 8},                 // parts of all calls and faults
	{Name: "appconfig-faults", Package: "internal/driver/awsappconfig", Test: "TestEveryFault", Trials: 160, Chunk: 16},    // the same
	{Name: "lambda-faults", Package: "internal/driver/awslambda", Test: "TestEveryFault", Trials: 80, Chunk: 8},            // the same
	{Name: "secret-faults", Package: "internal/driver/awssecret", Test: "TestEveryFault", Trials: 10, Chunk: 5},            // the same
	{Name: "ssm-faults", Package: "internal/driver/awsssm", Test: "TestEveryFault", Trials: 16, Chunk: 8},                  // the same
	{Name: "s3site-faults", Package: "internal/driver/awss3site", Test: "TestEveryFault", Trials: 160, Chunk: 10},          // the same
	{Name: "s3site-objects", Package: "internal/driver/awss3site", Test: "TestManyObjects", Trials: 20_000, Chunk: 20_000}, // objects of one site
	{Name: "outbox", Package: "internal/app", Test: "TestOutboxSimulation", Trials: 30_000, Chunk: 1_000},
	{Name: "power-cuts", Package: "internal/store/sqlite", Test: "TestPowerCuts", Trials: 25_000, Chunk: 500},      // four cuts each
	{Name: "damaged-state", Package: "internal/store/sqlite", Test: "TestDamagedState", Trials: 5_000, Chunk: 250}, // each damages in seven ways
	{Name: "failing-disk", Package: "internal/store/sqlite", Test: "TestEngineOnFailingDisk", Trials: 20_000, Chunk: 1_000},
	{Name: "slow-disk", Package: "internal/store/sqlite", Test: "TestSlowDisk", Trials: 600, Chunk: 120},
	{Name: "models-journal", Package: "internal/store/sqlite", Test: "TestModelOfJournalAndLeases", Trials: 100_000, Chunk: 4_000},
	{Name: "models-targets", Package: "internal/ledger", Test: "TestModelOfTargets", Trials: 100_000, Chunk: 25_000},
	{Name: "models-hash", Package: "internal/planfile", Test: "TestModelHash", Trials: 100_000, Chunk: 10_000},
	{Name: "hostile-config", Package: "internal/config", Test: "TestMutatedDocuments", Trials: 100_000, Chunk: 10_000},
	{Name: "flag-files", Package: "internal/driver/flags", Test: "TestConformsAsPublished", Trials: 50_000, Chunk: 2_000},
	{Name: "tampering", Package: "internal/planner", Test: "TestTampering", Trials: 1_000, Chunk: 25},
	{Name: "tampering-large", Package: "internal/planner", Test: "TestTamperingLarge", Trials: 1_000, Chunk: 40}, // thousandths of one plan
	{Name: "injection", Package: "internal/driver/hostservice", Test: "TestInjection", Trials: 5_000, Chunk: 80},
	{Name: "injection-host", Package: "internal/driver/hostservice", Test: "TestHostileTexts", Trials: 10_000, Chunk: 500},
	{Name: "injection-site", Package: "internal/driver/sitedir", Test: "TestHostileTexts", Trials: 10_000, Chunk: 500},
	{Name: "injection-flags", Package: "internal/driver/flags", Test: "TestHostileTexts", Trials: 10_000, Chunk: 500},
	{Name: "injection-jsonexec", Package: "internal/driver/jsonexec", Test: "TestHostileTexts", Trials: 10_000, Chunk: 500},
	{Name: "injection-ecs", Package: "internal/driver/awsecs", Test: "TestHostileTexts", Trials: 10_000, Chunk: 500},
	{Name: "injection-lambda", Package: "internal/driver/awslambda", Test: "TestHostileTexts", Trials: 10_000, Chunk: 500},
	{Name: "injection-s3site", Package: "internal/driver/awss3site", Test: "TestHostileTexts", Trials: 10_000, Chunk: 250},
	{Name: "injection-appconfig", Package: "internal/driver/awsappconfig", Test: "TestHostileTexts", Trials: 10_000, Chunk: 500},
	{Name: "injection-secret", Package: "internal/driver/awssecret", Test: "TestHostileTexts", Trials: 10_000, Chunk: 500},
	{Name: "injection-ssm", Package: "internal/driver/awsssm", Test: "TestHostileTexts", Trials: 10_000, Chunk: 500},
	{Name: "command-lines", Package: "cmd/astern", Test: "TestHostileCommandLines", Trials: 50_000, Chunk: 2_000},
	{Name: "signals-together", Package: "internal/signal/prometheus", Test: "TestTogetherAsAlone", Trials: 5_000, Chunk: 500},
	{Name: "false-alarms", Package: "bench/detect", Test: "TestFalseAlarms", Trials: 2_000, Chunk: 40, Most: map[string]float64{"false_alarms": 3}},
	{Name: "quiet-days", Package: "bench/detect", Test: "TestQuietDays", Trials: 2_000, Chunk: 40, Most: map[string]float64{"false_alarms": 3}},
	{Name: "watch-faults", Package: "internal/app", Test: "TestWatchFaults", Trials: 100, Chunk: 5},
	{Name: "watch-quiet", Package: "internal/app", Test: "TestWatchQuietly", Trials: 100, Chunk: 10},
	{Name: "watch-killed", Package: "internal/app", Test: "TestWatchKilled", Trials: 144, Chunk: 12}, // each point, before and after
	{Name: "audit", Package: "internal/audit", Test: "TestTampering", Trials: 120_000, Chunk: 3_000}, // 48,000 of them change one byte: each of 101 records
	{Name: "truth", Package: "bench/truth", Test: "TestTruth", Trials: 2_000, Chunk: 160},
	{Name: "truth-site", Package: "bench/sitetruth", Test: "TestTruth", Trials: 700, Chunk: 100},
	{Name: "truth-aws", Package: "bench/awstruth", Test: "TestTruth", Trials: 2_000, Chunk: 80},
}
