package tui

// Bounds of a difference: lines around a change that stay, and lines that are
// compared one with another.
const (
	diffAround = 3
	diffLimit  = 1000
)

// diffLines is what differs between two texts, with the lines around it.
func diffLines(a, b []string) []line {
	head, tail := alike(a, b)
	var lines []line
	add := func(sign string, s string, r role) {
		lines = append(lines, line{hang: 4, pieces: []piece{{sign + " " + s, r}}})
	}
	if skipped := head - diffAround; skipped > 0 {
		add(" ", count(skipped, "line")+" the same", roleDim)
	}
	for _, s := range a[max(0, head-diffAround):head] {
		add(" ", s, roleText)
	}
	walkDiff(a[head:len(a)-tail], b[head:len(b)-tail], add)
	for _, s := range a[len(a)-tail : len(a)-max(0, tail-diffAround)] {
		add(" ", s, roleText)
	}
	if skipped := tail - diffAround; skipped > 0 {
		add(" ", count(skipped, "line")+" the same", roleDim)
	}
	return lines
}

// alike is how many lines two texts begin and end with in common.
func alike(a, b []string) (head, tail int) {
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	return head, tail
}

// walkWhole goes through all lines of two texts.
func walkWhole(a, b []string, add func(sign, s string, r role)) {
	head, tail := alike(a, b)
	for _, s := range a[:head] {
		add(" ", s, roleText)
	}
	walkDiff(a[head:len(a)-tail], b[head:len(b)-tail], add)
	for _, s := range a[len(a)-tail:] {
		add(" ", s, roleText)
	}
}

// walkDiff goes through two texts along their longest common part. Very long
// ones are given one behind the other.
func walkDiff(a, b []string, add func(sign, s string, r role)) {
	if len(a) > diffLimit || len(b) > diffLimit {
		for _, s := range a {
			add("-", s, roleDel)
		}
		for _, s := range b {
			add("+", s, roleAdd)
		}
		return
	}
	common := commonLengths(a, b)
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			add(" ", a[i], roleText)
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			add("-", a[i], roleDel)
			i++
		default:
			add("+", b[j], roleAdd)
			j++
		}
	}
}

// commonLengths says how many lines a from i on and b from j on have in common.
func commonLengths(a, b []string) [][]int {
	n := make([][]int, len(a)+1)
	for i := range n {
		n[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				n[i][j] = n[i+1][j+1] + 1
			} else {
				n[i][j] = max(n[i+1][j], n[i][j+1])
			}
		}
	}
	return n
}
