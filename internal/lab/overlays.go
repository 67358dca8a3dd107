package lab

import "maps"

// states is what the subjects remember, one field each.
type states struct {
	identities identities
	grants     grants
	lambda     lambdaState
	functions  functions
	cloudfront cloudfrontState
	edges      edges
	s3         s3State
	config     configState
	monitor    monitorState
	ecr        ecrState
	ecs        ecsState
}

// sections returns all of states, for reset and for the ticks of the clock.
func (l *Lab) sections() []section {
	s := &l.states
	return []section{
		&s.identities,
		&s.grants,
		&s.lambda,
		&s.functions,
		&s.cloudfront,
		&s.edges,
		&s.s3,
		monitorClock{&s.monitor}, // before whom alarms roll back
		ecsClock{&s.ecs, l},      // before the registry: what started before an image expired has started
		ecrClock{&s.ecr, l},
		&s.config,
	}
}

// table joins the corrections of all subjects. A subject keeps its own in a file of its name.
func (l *Lab) table() map[string]Overlay {
	all := map[string]Overlay{}
	for _, subject := range []map[string]Overlay{
		l.stsOverlays(),
		l.iamOverlays(),
		l.trailOverlays(),
		l.lambdaOverlays(),
		l.secretsOverlays(),
		l.parametersOverlays(),
		l.cloudfrontOverlays(),
		l.s3Overlays(),
		l.appconfigOverlays(),
		l.ecrOverlays(),
		l.ecsOverlays(),
		l.cloudwatchOverlays(),
		l.logsOverlays(),
	} {
		maps.Copy(all, subject)
	}
	return all
}
