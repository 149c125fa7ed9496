// Package spelling tells how far apart two words are, so that what a person
// mistyped can be told from what is another word. Slips counts; from how many
// slips on a name is another one, its callers say, but for the words of people
// that Nearest is about.
package spelling

import "strings"

// longest is the word, in octets, that is looked at: Slips takes quadratic time.
const longest = 64

// Slips counts the slips between two words: a letter more, less or other, or
// two that changed places (optimal string alignment). Words of more than 64
// octets are as far from each other as can be.
func Slips(a, b string) int {
	if len(a) > longest || len(b) > longest {
		return max(len(a), len(b))
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(last[j]+1, row[j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// Nearest returns the choice that was probably meant by a misspelt word, or "".
// Case and the kind of dash do not count; otherwise one letter in three may
// differ, one always and more than three never.
func Nearest(word string, choices []string) string {
	normal := func(s string) string {
		return strings.ReplaceAll(strings.ToLower(s), "-", "_")
	}
	best, least := "", 1+min(3, max(1, len(word)/3))
	for _, choice := range choices {
		if n := Slips(normal(word), normal(choice)); n < least {
			best, least = choice, n
		}
	}
	return best
}
