package database_test

import (
	"fmt"
	"strings"
	"testing"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
)

func TestParseTarget(t *testing.T) {
	for _, c := range []struct{ in, out string }{
		{"var/dbslm", "var/dbslm"},
		{"var/dbslm/", "var/dbslm"},
		{":memory:", ":memory:"},
		{"mysql://root@unix(/run/mysqld/mysqld.sock)/", "mysql://root@unix(/run/mysqld/mysqld.sock)/"},
		{"mysql://u:p%40ss%3A@db.example/", "mysql://u@db.example:3306/"},
		{"mariadb://u:secret@db.example:3307/?schema_prefix=t1_&timeout=3s&tls=preferred", "mysql://u@db.example:3307/?schema_prefix=t1_"},
		{"mysql://u:secret@tcp(127.0.0.1:3306)/", "mysql://u@127.0.0.1:3306/"},
		{"mysql://us%20er%40corp:x@h/", "mysql://us%20er%40corp@h:3306/"},
		{"mysql://[::1]/", "mysql://[::1]:3306/"},
		{"mysql://u:a@b@host/", "mysql://u@host:3306/"},
	} {
		target, err := database.ParseTarget(c.in)
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		if got := target.String(); got != c.out {
			t.Errorf("%s became %s, want %s", c.in, got, c.out)
		}
		for _, shown := range []string{fmt.Sprint(target), fmt.Sprintf("%#v", target), fmt.Sprintf("%+v", target)} {
			if strings.Contains(shown, "secret") || strings.Contains(shown, "p@ss") {
				t.Errorf("%s shows its password: %s", c.in, shown)
			}
		}
	}
	target, err := database.ParseTarget("mysql://u:p%40ss%3A@db.example/")
	if err != nil || target.ServerConfig().Passwd != "p@ss:" {
		t.Errorf("password %q, %v", target.ServerConfig().Passwd, err)
	}
}

func TestParseTargetRefuses(t *testing.T) {
	for in, say := range map[string]string{
		"":                                         "name a directory",
		"postgres://u:secret@host/":                "unknown scheme",
		"root:secret@tcp(host:3306)/":              "mysql://",
		"mysql://u:secret@host/dbslm":              "leave out the database name",
		"mysql://u:secret@/":                       "host is missing",
		"mysql://u:sec%ret@host/":                  "%25",
		"mysql://u:secret@unix(/x/":                "unix(/path/to/socket)",
		"mysql:/u:secret@host/":                    "two slashes",
		"mariadb:u:secret@host/":                   "two slashes",
		"mysql://u:secret@host:abc/":               "1 to 65535",
		"mysql://u:secret@host:70000/":             "1 to 65535",
		"mysql://u:secret@::1/":                    "1 to 65535",
		"mysql://u:secret@host/?frobnicate":        "schema_prefix",
		"mysql://u:secret@host/?timeout=5":         "such as 5s",
		"mysql://u:secret@host/?tls=maybe":         "skip-verify",
		"mysql://u:secret@host/?schema_prefix=a-b": "a-z",
	} {
		_, err := database.ParseTarget(in)
		if errors.KindOf(err) != errors.InvalidArgument || !strings.Contains(fmt.Sprint(err), say) || strings.Contains(fmt.Sprint(err), "secret") {
			t.Errorf("%s: %v; should say %q and no password", in, err, say)
		}
	}
}
