package notify

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/astern-dev/astern"
)

// A message of Slack's Block Kit (https://docs.slack.dev/reference/block-kit/blocks/): a header, a section and a context.
// Everything that comes from names and reasons stands in plain_text, which Slack shows as it is: no link, no mention, no
// markup. Only `text`, which stands in notifications, is always read for mentions: there &, < and > are escaped as Slack asks
// (https://docs.slack.dev/messaging/formatting-message-text/#escaping).
type slackMessage struct {
	Text   string       `json:"text"`
	Blocks []slackBlock `json:"blocks"`
}

type slackBlock struct {
	Type     string      `json:"type"`
	Text     *slackText  `json:"text,omitempty"`
	Elements []slackText `json:"elements,omitempty"`
}

type slackText struct {
	Type  string `json:"type"`
	Text  string `json:"text"`
	Emoji *bool  `json:"emoji,omitempty"`
}

// Slack's limits, in characters.
const (
	slackHeader  = 150
	slackSection = 3000
)

var slackEscape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// slackCodes are the answers of incoming webhooks that help a person; any other text stays unshown.
var slackCodes = []string{"invalid_payload", "invalid_blocks", "invalid_token", "no_service", "no_team", "no_active_hooks", "team_disabled",
	"channel_not_found", "channel_is_archived", "action_prohibited", "posting_to_general_channel_denied", "rollup_error"}

func (s *Sender) slack(ctx context.Context, c astern.SlackChannel, m Message) error {
	to, err := s.reveal("URL", c.URL)
	if err != nil {
		return err
	}
	body, err := json.Marshal(slackOf(m))
	if err != nil {
		return err
	}
	answer, err := s.post(ctx, to, body, nil)
	if code := strings.TrimSpace(answer); err != nil && slices.Contains(slackCodes, code) {
		f := &Failure{}
		if as, ok := err.(*Failure); ok {
			f = as
		}
		return &Failure{Cause: astern.Errorf(astern.CodeOf(err), "%w (%s)", err, code), Hopeless: f.Hopeless, After: f.After}
	}
	return err
}

func slackOf(m Message) slackMessage {
	no := false
	plain := func(s string) slackText { return slackText{Type: "plain_text", Text: s, Emoji: &no} }
	title := m.title()
	head := plain(clean(title, slackHeader))
	out := slackMessage{Text: slackEscape.Replace(title), Blocks: []slackBlock{{Type: "header", Text: &head}}}
	var text []string
	if len([]rune(title)) > slackHeader {
		text = append(text, title)
	}
	text = append(text, m.lines()...)
	if len(text) > 0 {
		body := plain(cut(strings.Join(text, "\n"), slackSection))
		out.Blocks = append(out.Blocks, slackBlock{Type: "section", Text: &body})
	}
	foot := slackBlock{Type: "context"}
	for _, f := range m.fields() {
		foot.Elements = append(foot.Elements, plain(f[0]+": "+f[1]))
	}
	out.Blocks = append(out.Blocks, foot)
	return out
}

// cut shortens a text of several lines.
func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
