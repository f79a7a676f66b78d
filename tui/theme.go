package tui

import (
	"slices"

	"github.com/gdamore/tcell/v2"

	"mpproxy/traffic"
)

// role is what a piece of text is for. Code names roles; themes give them
// colours.
type role uint8

const (
	roleText role = iota
	roleDim
	roleTitle
	roleFlag
	roleHeading
	roleError
	roleWarning
	roleNote
	roleHeld
	roleModified
	rolePassed
	roleMatch
	roleAdd
	roleDel
	roleName
	roleAttr
	roleValue
	roleZero
	roleLink
	roleFooterKey
	roleFooterText
	roles // how many there are
)

// theme is how the screen looks.
type theme struct {
	name string
	// styles has one for each role.
	styles [roles]tcell.Style
	// cursor is the background of the chosen row; where it is the default,
	// the row is shown reversed.
	cursor tcell.Color
	// colors is how many colours the terminal must have.
	colors int
}

func (t *theme) style(r role) tcell.Style { return t.styles[r] }

// on is the style of a role on the chosen row.
func (t *theme) on(r role) tcell.Style {
	if t.cursor == tcell.ColorDefault {
		return t.styles[r].Reverse(true)
	}
	return t.styles[r].Background(t.cursor)
}

// severity is the role of a severity.
func severity(s traffic.Severity) role {
	switch s {
	case traffic.Error:
		return roleError
	case traffic.Warning:
		return roleWarning
	case traffic.Info:
		return roleNote
	}
	return roleText
}

// themes are the ones to choose from.
var themes = []*theme{&defaultTheme, &darkTheme, &lightTheme, &monoTheme}

// themeNamed is the theme of a name, nil when there is none.
func themeNamed(name string) *theme {
	i := slices.IndexFunc(themes, func(t *theme) bool { return t.name == name })
	if i < 0 {
		return nil
	}
	return themes[i]
}

// themeNames are the names to choose from.
func themeNames() []string {
	var names []string
	for _, t := range themes {
		names = append(names, t.name)
	}
	return names
}

// fitting is the theme of a name, or what comes nearest to it on a terminal of
// so many colours. "" is the default one.
func fitting(name string, colors int) *theme {
	t := themeNamed(name)
	if t == nil || t.colors > colors {
		t = &defaultTheme
	}
	if t.colors > colors {
		t = &monoTheme
	}
	return t
}

var plain = tcell.StyleDefault

// defaultTheme has the terminal's own colours, and of the palette only what
// can be read on light and on dark.
var defaultTheme = theme{
	name: "default", colors: 8, cursor: tcell.ColorDefault,
	styles: [roles]tcell.Style{
		roleText:       plain,
		roleDim:        plain.Dim(true),
		roleTitle:      plain.Bold(true),
		roleFlag:       plain.Bold(true).Reverse(true),
		roleHeading:    plain.Dim(true),
		roleError:      plain.Foreground(tcell.ColorMaroon).Bold(true),
		roleWarning:    plain.Foreground(tcell.ColorOlive),
		roleNote:       plain.Foreground(tcell.ColorTeal),
		roleHeld:       plain.Reverse(true),
		roleModified:   plain.Foreground(tcell.ColorPurple).Bold(true),
		rolePassed:     plain.Dim(true),
		roleMatch:      plain.Reverse(true).Bold(true),
		roleAdd:        plain.Foreground(tcell.ColorGreen).Bold(true),
		roleDel:        plain.Foreground(tcell.ColorMaroon),
		roleName:       plain.Foreground(tcell.ColorTeal),
		roleAttr:       plain.Foreground(tcell.ColorPurple),
		roleValue:      plain,
		roleZero:       plain.Dim(true),
		roleLink:       plain.Underline(true),
		roleFooterKey:  plain.Bold(true),
		roleFooterText: plain,
	},
}

// painted is a theme with a background of its own.
func painted(name string, back, cursor, bar int32, ink map[role]int32) theme {
	t := theme{name: name, colors: 256, cursor: tcell.NewHexColor(cursor)}
	base := plain.Background(tcell.NewHexColor(back)).Foreground(tcell.NewHexColor(ink[roleText]))
	for r := range roles {
		t.styles[r] = base
		if c, known := ink[r]; known {
			t.styles[r] = base.Foreground(tcell.NewHexColor(c))
		}
	}
	for _, r := range []role{roleTitle, roleFlag, roleFooterKey, roleFooterText} {
		t.styles[r] = t.styles[r].Background(tcell.NewHexColor(bar))
	}
	for _, r := range []role{roleTitle, roleFlag, roleFooterKey, roleError, roleModified, roleMatch} {
		t.styles[r] = t.styles[r].Bold(true)
	}
	for _, r := range []role{roleFlag, roleHeld, roleMatch} {
		t.styles[r] = t.styles[r].Reverse(true)
	}
	t.styles[roleLink] = t.styles[roleLink].Underline(true)
	return t
}

var darkTheme = painted("dark", 0x14181c, 0x2c3a48, 0x20282f, map[role]int32{
	roleText: 0xd8dee4, roleDim: 0x8d99a5, roleHeading: 0x9aa7b4, roleError: 0xff8a80, roleWarning: 0xf2c14e,
	roleNote: 0x7fd1de, roleHeld: 0xf2c14e, roleModified: 0xe0a8f0, rolePassed: 0x9aa7b4, roleMatch: 0xf2c14e,
	roleAdd: 0x8fd694, roleDel: 0xff8a80, roleName: 0x8cc8f0, roleAttr: 0xd9b3f0, roleValue: 0xc5e0a5,
	roleZero: 0x8d99a5, roleLink: 0x8cc8f0, roleFooterKey: 0xffffff, roleFlag: 0xf2c14e, roleTitle: 0xffffff,
	roleFooterText: 0xb8c3cd,
})

var lightTheme = painted("light", 0xfbfaf7, 0xd9e6f2, 0xe9e7e0, map[role]int32{
	roleText: 0x1f2429, roleDim: 0x6b7278, roleHeading: 0x555c63, roleError: 0xa8071a, roleWarning: 0x7a4b00,
	roleNote: 0x00596b, roleHeld: 0x7a4b00, roleModified: 0x7a1f9c, rolePassed: 0x555c63, roleMatch: 0x7a4b00,
	roleAdd: 0x1b5e20, roleDel: 0xa8071a, roleName: 0x0b4f94, roleAttr: 0x7a1f9c, roleValue: 0x2c5a0e,
	roleZero: 0x6b7278, roleLink: 0x0b4f94, roleFooterKey: 0x000000, roleFlag: 0x7a4b00, roleTitle: 0x000000,
	roleFooterText: 0x3a4147,
})

// monoTheme is for terminals without colours, and for people who want none.
var monoTheme = theme{
	name: "mono", cursor: tcell.ColorDefault,
	styles: [roles]tcell.Style{
		roleText:       plain,
		roleDim:        plain.Dim(true),
		roleTitle:      plain.Bold(true),
		roleFlag:       plain.Bold(true).Reverse(true),
		roleHeading:    plain.Dim(true),
		roleError:      plain.Bold(true),
		roleWarning:    plain.Bold(true),
		roleNote:       plain,
		roleHeld:       plain.Reverse(true),
		roleModified:   plain.Bold(true),
		rolePassed:     plain.Dim(true),
		roleMatch:      plain.Reverse(true),
		roleAdd:        plain.Bold(true),
		roleDel:        plain,
		roleName:       plain.Bold(true),
		roleAttr:       plain,
		roleValue:      plain,
		roleZero:       plain.Dim(true),
		roleLink:       plain.Underline(true),
		roleFooterKey:  plain.Bold(true),
		roleFooterText: plain,
	},
}
