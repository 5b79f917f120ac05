package gateway

import "testing"

func TestOwnedBy(t *testing.T) {
	for _, c := range []struct {
		user, label string
		want        bool
	}{
		{"ana", "user/ana", true},
		{"ana", "user/ana/diary.txt", true},
		{"ana", "user/ana/2026/may.txt", true},
		{"ana", "user/anabel/diary.txt", false},
		{"ana", "user/an", false},
		{"ana", "users/ana/diary.txt", false},
		{"ana", "notes/user/ana", false},
		{"a/b", "user/a%2Fb/diary.txt", true},
		{"a", "user/a%2Fb/diary.txt", false},
		{"a/b", "user/a/b/diary.txt", false},
		{"a%2Fb", "user/a%2Fb/diary.txt", false},
		{"a%2Fb", "user/a%252Fb/diary.txt", true},
	} {
		if got := ownedBy(c.user, c.label); got != c.want {
			t.Errorf("%q of %q: %v", c.label, c.user, got)
		}
	}
}
