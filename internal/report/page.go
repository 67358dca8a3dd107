package report

import (
	"fmt"
	"html"
	"strings"
)

// head and style begin the page: readable on a phone, in the dark, and on paper. The policy in it lets it load nothing.
const (
	head = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
`
	style = `<style>
:root { color-scheme: light dark; --line: #8886; --bad: #c0392b; --old: #2471a3; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; vertical-align: top; padding: .2rem .6rem .2rem 0; border-bottom: 1px solid var(--line); }
td.at { white-space: nowrap; font-variant-numeric: tabular-nums; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; } dt { font-weight: 600; } dd { margin: 0; }
svg { width: 100%; height: auto; margin-top: 1rem; }
svg text { font: 11px system-ui, sans-serif; fill: currentColor; }
svg .panel { fill: none; stroke: var(--line); } svg path { fill: none; stroke-width: 1.5; }
svg .candidate { stroke: var(--bad); } svg .control { stroke: var(--old); } svg .bounds { fill: var(--bad); opacity: .25; }
svg .zero { stroke: currentColor; } svg .margin { stroke: var(--bad); stroke-dasharray: 4 3; } svg .mark line { stroke: currentColor; stroke-dasharray: 2 3; }
.key span { margin-right: 1rem; } .key .c { color: var(--bad); } .key .o { color: var(--old); }
</style>
</head>
<body>
`
	key = `<p class="key"><span class="c">red: the new revision</span><span class="o">blue: the earlier one</span><span>below: between which bounds the difference lies; dashed: the margin that matters; dotted: what was done</span></p>
`
)

// page is HTML that is being written. Text only gets into it by add, which makes it harmless: html/template would do the
// same, and by its reflection keep every method of every package in the binary, half of its size.
type page struct{ strings.Builder }

// add writes a piece; what it says of texts stands in the format as %s, between tags and never inside of one.
func (p *page) add(format string, texts ...string) {
	safe := make([]any, len(texts))
	for i, t := range texts {
		safe[i] = html.EscapeString(t)
	}
	fmt.Fprintf(&p.Builder, format, safe...)
}

// failures writes what the component wrote down.
func (d document) failures(p *page) {
	if len(d.Lines) == 0 {
		return
	}
	p.add("<h2>Failures</h2>\n<p>%s:</p>\n<table><tbody>", d.Log)
	for _, l := range d.Lines {
		p.add("<tr><td class=\"at\">%s</td><td>%s</td></tr>\n", l.At, l.Text)
	}
	p.WriteString("</tbody></table>\n")
}

// page writes a document. Its graphs are made by chart, which makes every name in them safe.
func (d document) page() string {
	p := &page{}
	p.WriteString(head)
	p.add("<title>%s: %s</title>\n", d.ID, d.Title)
	p.WriteString(style)
	p.add("<h1>%s: %s</h1>\n<dl>", d.ID, d.Title)
	for _, f := range d.Facts {
		p.add("<dt>%s</dt><dd>%s</dd>", f.Name, f.Value)
	}
	p.WriteString("</dl>\n")
	if len(d.Graphs) > 0 {
		p.WriteString("<h2>Signals</h2>\n" + key)
		for _, g := range d.Graphs {
			p.WriteString(g + "\n")
		}
	}
	p.WriteString("<h2>Timeline (UTC)</h2>\n<table><thead><tr><th>when</th><th>who</th><th>what</th></tr></thead>\n<tbody>")
	for _, l := range d.Timeline {
		p.add("<tr><td class=\"at\">%s</td><td>%s</td><td>%s</td></tr>\n", l.At, l.By, l.Text)
	}
	p.WriteString("</tbody></table>\n")
	d.decisions(p)
	d.failures(p)
	p.WriteString("<h2>Tasks</h2>\n<table><tbody>")
	for _, t := range d.Tasks {
		box := map[bool]string{true: "&#10003;", false: "&#9744;"}[t.Done]
		p.add("<tr><td>"+box+"</td><td>%s</td><td>within %s</td><td>%s</td></tr>\n", t.Item, t.List, t.State)
	}
	p.add("</tbody></table>\n<p>Made by astern, %s.</p>\n</body>\n</html>\n", d.Made)
	return p.String()
}

func (d document) decisions(p *page) {
	if len(d.Decisions) == 0 {
		return
	}
	p.WriteString("<h2>Decisions</h2>\n<ul>")
	for _, x := range d.Decisions {
		p.add("<li>%s: %s", or(x.Way, string(x.Act)), x.Because)
		if more := besides(x); len(more) > 0 {
			p.WriteString("<ul>")
			for _, line := range more {
				p.add("<li>%s</li>", line)
			}
			p.WriteString("</ul>")
		}
		p.WriteString("</li>\n")
	}
	p.WriteString("</ul>\n")
}
