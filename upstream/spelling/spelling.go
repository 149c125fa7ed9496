// Package spelling tells how far apart two words are, so that what a person
// mistyped can be told from what is another word. It is Slips alone; from how
// many slips on a word is another one, its callers say.
package spelling

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
