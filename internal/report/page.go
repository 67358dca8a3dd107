package report

// pageText is the page: readable on a phone, in the dark, and on paper. The policy in its head lets it load nothing.
const pageText = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{.ID}}: {{.Title}}</title>
<style>
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
<h1>{{.ID}}: {{.Title}}</h1>
<dl>{{range .Facts}}<dt>{{.Name}}</dt><dd>{{.Value}}</dd>{{end}}</dl>
{{if .Graphs}}<h2>Signals</h2>
<p class="key"><span class="c">red: the new revision</span><span class="o">blue: the earlier one</span><span>below: between which bounds the difference lies; dashed: the margin that matters; dotted: what was done</span></p>
{{range .Graphs}}{{.}}
{{end}}{{end}}<h2>Timeline (UTC)</h2>
<table><thead><tr><th>when</th><th>who</th><th>what</th></tr></thead>
<tbody>{{range .Timeline}}<tr><td class="at">{{.At}}</td><td>{{.By}}</td><td>{{.Text}}</td></tr>
{{end}}</tbody></table>
{{if .Decisions}}<h2>Decisions</h2>
<ul>{{range .Decisions}}<li>{{if .Way}}{{.Way}}{{else}}{{.Act}}{{end}}: {{.Because}}{{if .Against}}<ul>{{range .Against}}<li>not: {{.}}</li>{{end}}</ul>{{end}}</li>
{{end}}</ul>
{{end}}<h2>Tasks</h2>
<table><tbody>{{range .Tasks}}<tr><td>{{if .Done}}&#10003;{{else}}&#9744;{{end}}</td><td>{{.Item}}</td><td>within {{.List}}</td><td>{{.State}}</td></tr>
{{end}}</tbody></table>
<p>Made by astern, {{.Made}}.</p>
</body>
</html>
`
