package astern

// Symptom is what shows that something is wrong.
type Symptom string

// The symptoms that are known. The first four are measured; a vulnerability is told by a person.
const (
	SymptomErrors        Symptom = "error-rate"        // more than 0.5 points over the baseline
	SymptomLatency       Symptom = "latency"           // p95 more than 25 % over the baseline
	SymptomBusiness      Symptom = "business-metric"   // more than 10 % below the baseline
	SymptomMigration     Symptom = "migration-failure" // a migration failed or timed out
	SymptomVulnerability Symptom = "vulnerability"     // found in what is deployed
)

// Symptoms are all of them, for validating.
var Symptoms = []Symptom{SymptomErrors, SymptomLatency, SymptomBusiness, SymptomMigration, SymptomVulnerability}

// Way is a kind of way back.
type Way string

// The ways back.
const (
	WayFlag     Way = "flag"     // switch the feature off
	WayRollback Way = "rollback" // an earlier revision of what runs
	WayMigrate  Way = "migrate"  // the migration's own way down, or the next one
	WayRestore  Way = "restore"  // a backup or a moment
	WayFailover Way = "failover" // another copy
)

// Ways are all of them, for validating.
var Ways = []Way{WayFlag, WayRollback, WayMigrate, WayRestore, WayFailover}

// Advice is one piece of what is known: which way to prefer at a symptom. It is data, and astern.yaml adds to it below
// `knowledge`; what a user says comes before what astern brings along.
type Advice struct {
	Symptom Symptom `json:"symptom" jsonschema:"enum=error-rate,enum=latency,enum=business-metric,enum=migration-failure,enum=vulnerability,description=what shows that something is wrong"`
	// Kind limits it to components of that kind, "" means any.
	Kind string `json:"kind,omitempty" jsonschema:"description=only for components of this kind (default: any)"`
	// Flagged limits it to components that flags switch parts off of.
	Flagged bool `json:"flagged,omitempty" jsonschema:"description=only for components that declare flags"`
	// Prefer lists the ways, the best first. A way that is not listed comes after those that are.
	Prefer  []Way  `json:"prefer" jsonschema:"minItems=1,enum=flag,enum=rollback,enum=migrate,enum=restore,enum=failover,description=ways back\\, the best first"`
	Because string `json:"because" jsonschema:"minLength=1,description=the reason\\, shown in the plan"`
	// Look lists what to look at first.
	Look []string `json:"look,omitempty" jsonschema:"description=what to look at first"`
}

// WayBack is one way that could be gone, for ordering them.
type WayBack struct {
	Way       Way       `json:"way"`
	Address   string    `json:"address"`
	Title     string    `json:"title"` // "flag new-checkout off"
	Estimate  Estimate  `json:"estimate"`
	Loss      []Loss    `json:"loss,omitempty"`
	Readiness Readiness `json:"readiness"`
	// Because says why it stands where it does.
	Because string `json:"because,omitempty"`
}
