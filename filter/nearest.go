package filter

import (
	"slices"
	"strings"
)

func fieldNames() []string {
	var names []string
	for _, f := range fields {
		names = append(names, f.Name)
	}
	return names
}

// didYouMean names up to three words that look like name, as a hint behind a
// message; empty when none does.
func didYouMean(name string, known []string) string {
	type candidate struct {
		word string
		far  int
	}
	var near []candidate
	for _, word := range known {
		if far := distance(name, word); far <= max(1, len(word)/3) || name != "" && strings.HasPrefix(word, name) {
			near = append(near, candidate{word, far})
		}
	}
	slices.SortStableFunc(near, func(a, b candidate) int { return a.far - b.far })
	var words []string
	for _, c := range near[:min(3, len(near))] {
		words = append(words, c.word)
	}
	if words == nil {
		return ""
	}
	return " (did you mean " + strings.Join(words, ", ") + "?)"
}

// distance is how many letters must be put in, taken out, changed or swapped
// with the next one to make b of a.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			differ := 1
			if a[i-1] == b[j-1] {
				differ = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+differ)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}
