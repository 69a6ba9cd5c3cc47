package stores

import "strings"

// Redact takes what is secret out of a URL, so that it can be shown.
func Redact(text string) string {
	before, after, ok := strings.Cut(text, "://")
	if !ok {
		return text
	}
	address, query, asked := strings.Cut(after, "?")
	if at := strings.LastIndex(address, "@"); at >= 0 {
		address = "…" + address[at:]
	}
	if !asked {
		return before + "://" + address
	}
	parts := strings.Split(query, "&")
	for i, p := range parts {
		if name, value, _ := strings.Cut(p, "="); strings.Contains(strings.ToLower(name), "password") || strings.Contains(value, "@") || strings.Contains(value, "%40") {
			parts[i] = name + "=…"
		}
	}
	return before + "://" + address + "?" + strings.Join(parts, "&")
}
