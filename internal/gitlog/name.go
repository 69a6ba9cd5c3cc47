package gitlog

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Escape returns a path or a branch's name as text: a percent sign, control
// characters and what is not UTF-8 become %XX.
func Escape(name string) string {
	plain := true
	for i := range len(name) {
		if c := name[i]; c < ' ' || c == '%' || c == 0x7f || c >= utf8.RuneSelf {
			plain = false
			break
		}
	}
	if plain {
		return name
	}
	var b strings.Builder
	for i := 0; i < len(name); {
		r, n := utf8.DecodeRuneInString(name[i:])
		if r == utf8.RuneError && n == 1 || r < ' ' || r == '%' || 0x7f <= r && r < 0xa0 {
			for _, c := range []byte(name[i : i+n]) {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		} else {
			b.WriteString(name[i : i+n])
		}
		i += n
	}
	return b.String()
}

// Unescape returns the name that Escape has made text of.
func Unescape(text string) (string, error) {
	if !strings.Contains(text, "%") {
		return text, nil
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			b.WriteByte(text[i])
			continue
		}
		if len(text)-i < 3 {
			return "", fmt.Errorf("%q ends within an escape", text)
		}
		c, err := strconv.ParseUint(text[i+1:i+3], 16, 8)
		if err != nil {
			return "", fmt.Errorf("%q is no escape", text[i:i+3])
		}
		b.WriteByte(byte(c))
		i += 2
	}
	return b.String(), nil
}

// streamName returns category-prefix/name, shortened to limit bytes.
func streamName(category, prefix, name string, limit int) string {
	s := category + "-"
	if prefix != "" {
		s += prefix + "/"
	}
	s += Escape(name)
	if len(s) <= limit {
		return s
	}
	sum := sha256.Sum256([]byte(name))
	end := "%~" + hex.EncodeToString(sum[:16]) // no escape begins so
	return strings.ToValidUTF8(s[:limit-len(end)], "") + end
}
