"""Pages for people, and JSON for their scripts. Views parse and render; `sessions.actions` decides and writes."""
