package policy

import (
	"regexp/syntax"
	"slices"
	"strings"
)

// maxInstances bounds the samples of one regular expression, manyPaths those of all for paths.
const (
	maxInstances = 64
	manyPaths    = 4_000
	manySamples  = 6 // of one for a header field: each is a way of its own
)

// regexpInstances are texts that a regular expression matches, and neighbours.
func regexpInstances(pattern string, most int) []string {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil
	}
	var all []string
	texts := thin(samples(parsed.Simplify()), most)
	for n, text := range texts {
		if all = append(all, text); n == 0 || len(texts) <= 16 && most > 16 {
			all = append(all, text+"/", text+"/"+stranger, strings.ToUpper(text))
		}
	}
	return all
}

// samples walks the syntax tree: each alternative, none and one and two of what repeats,
// and both ends of each class.
func samples(r *syntax.Regexp) []string {
	switch r.Op {
	case syntax.OpLiteral:
		return []string{string(r.Rune)}
	case syntax.OpCharClass:
		var all []string
		for n := 0; n+1 < len(r.Rune) && len(all) < 12; n += 2 {
			for _, c := range []rune{r.Rune[n], r.Rune[n+1]} {
				if c > ' ' && c < 0x7f && !strings.ContainsRune(`/%?#;\`, c) {
					all = append(all, string(c))
				}
			}
		}
		if len(all) == 0 || slices.Contains(all, "a") {
			all = append(all, "a")
		}
		return unique(all)
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return []string{"z"}
	case syntax.OpStar, syntax.OpQuest:
		return append([]string{""}, repeated(samples(r.Sub[0]), r.Op == syntax.OpStar)...)
	case syntax.OpPlus:
		return repeated(samples(r.Sub[0]), true)
	case syntax.OpCapture:
		return samples(r.Sub[0])
	case syntax.OpAlternate:
		var all []string
		for _, sub := range r.Sub {
			all = append(all, samples(sub)...)
		}
		return bounded(all)
	case syntax.OpConcat:
		all := []string{""}
		for _, sub := range r.Sub {
			var longer []string
			parts := samples(sub)
			for _, head := range all {
				for _, part := range parts {
					longer = append(longer, head+part)
				}
			}
			all = bounded(longer)
		}
		return all
	default:
		return []string{""}
	}
}

func repeated(once []string, more bool) []string {
	if !more {
		return once
	}
	all := slices.Clone(once)
	if len(once) > 0 {
		all = append(all, once[0]+once[len(once)-1], strings.Join(once, ""))
	}
	return all
}

func bounded(all []string) []string { return thin(all, maxInstances) }

// thin leaves some out evenly, so that the last alternative is as good as the first.
func thin(all []string, most int) []string {
	if len(all) <= most {
		return all
	}
	kept := make([]string, 0, most)
	for n := range most {
		kept = append(kept, all[n*len(all)/most])
	}
	return kept
}
