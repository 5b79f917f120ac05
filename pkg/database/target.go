package database

import (
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"dbslm/pkg/errors"

	"github.com/go-sql-driver/mysql"
)

type kind uint8

const (
	kindNone kind = iota
	kindDir
	kindMemory
	kindMySQL
)

// Target names where the data live: a directory with one SQLite file per schema, process memory, or a MySQL/MariaDB server.
// The zero Target is none. Targets are values; copies of a ":memory:" target mean the same memory.
type Target struct {
	kind   kind
	dir    string        // kindDir: cleaned path
	memory *memoryDir    // kindMemory
	server *mysql.Config // kindMySQL; never changed after ParseTarget
	prefix string        // before every schema name
	engine Engine        // asked for; "" takes the store as it is
}

// ParseTarget reads what a person gave as --db:
//
//	var/dbslm                                   a directory, made when needed; a leading ~ is the home directory
//	:memory:                                    this process's memory; two calls are two stores
//	mysql://user:password@host:3306/?tls=true   a server; also user@unix(/path/socket)/ ; mariadb:// is the same
//
// User and password are percent-encoded. Query parameters: schema_prefix (a-z, 0-9 and _, put before every schema name, to
// hold several installations on one server), engine (innodb or mariadb-hybrid; without it a store is used as it is), tls (true,
// false, skip-verify, preferred), timeout, read_timeout and write_timeout (Go durations).
func ParseTarget(s string) (Target, error) {
	s = strings.TrimSpace(s)
	scheme, rest, hasScheme := strings.Cut(s, "://")
	switch {
	case s == "":
		return Target{}, errors.New(errors.InvalidArgument, reasonTarget, "no database given: name a directory such as var/dbslm, or a mysql:// URL")
	case s == ":memory:":
		return Target{kind: kindMemory, memory: &memoryDir{}}, nil
	case hasScheme && (scheme == "mysql" || scheme == "mariadb"):
		return parseServer(rest)
	case hasScheme:
		return Target{}, errors.New(errors.InvalidArgument, reasonTarget, "unknown scheme %q: give a directory or mysql://user:password@host:3306/", scheme+"://")
	case strings.HasPrefix(s, "mysql:") || strings.HasPrefix(s, "mariadb:"):
		return Target{}, errors.New(errors.InvalidArgument, reasonTarget, "a server's URL has two slashes: mysql://user:password@host:3306/")
	case strings.Contains(s, "?engine="):
		return Target{}, errors.New(errors.InvalidArgument, reasonTarget, "%q: an embedded store has no choice of engine; engine= belongs to a mysql:// URL of a MariaDB server", s)
	case strings.Contains(s, "@tcp(") || strings.Contains(s, "@unix("):
		return Target{}, errors.New(errors.InvalidArgument, reasonTarget, "a server is written as a URL: put mysql:// in front")
	}
	if s == "~" || strings.HasPrefix(s, "~/") {
		home, err := os.UserHomeDir()
		if err != nil {
			return Target{}, errors.Wrap(err, errors.InvalidArgument, reasonTarget, "cannot find the home directory for %q", s)
		}
		s = filepath.Join(home, s[1:])
	}
	return Target{kind: kindDir, dir: filepath.Clean(s)}, nil
}

// Embedded reports whether the data live in this machine's files or memory rather than on a server.
func (t Target) Embedded() bool { return t.kind == kindDir || t.kind == kindMemory }

// Memory reports whether the data end with the process.
func (t Target) Memory() bool { return t.kind == kindMemory }

// Dir is the directory of an embedded target as it was given, "" for the others.
func (t Target) Dir() string { return t.dir }

// Prefix is what stands before every schema name on the server.
func (t Target) Prefix() string { return t.prefix }

// WithPrefix is the same target with another prefix (a-z, 0-9, _; at most 16, or Open refuses the schema name).
func (t Target) WithPrefix(prefix string) Target {
	t.prefix = prefix
	return t
}

// Engine is the engine that is asked for, "" for none.
func (t Target) Engine() Engine { return t.engine }

// WithEngine is the same target with another engine asked for.
func (t Target) WithEngine(engine Engine) Target {
	t.engine = engine
	return t
}

// String is the target as a person may give it again, without the password.
func (t Target) String() string {
	switch t.kind {
	case kindDir:
		return t.dir
	case kindMemory:
		return ":memory:"
	case kindMySQL:
		addr := t.server.Addr
		if t.server.Net == "unix" {
			addr = "unix(" + addr + ")"
		}
		user := ""
		if t.server.User != "" {
			user = strings.ReplaceAll(url.QueryEscape(t.server.User), "+", "%20") + "@"
		}
		s := "mysql://" + user + addr + "/"
		var params []string
		if t.prefix != "" {
			params = append(params, "schema_prefix="+t.prefix)
		}
		if t.engine != "" {
			params = append(params, "engine="+string(t.engine))
		}
		if len(params) > 0 {
			s += "?" + strings.Join(params, "&")
		}
		return s
	}
	return "no database"
}

// word is the target as one word of a shell.
func (t Target) word() string {
	s := t.String()
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/.:_-@%+=,") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// GoString keeps the password out of %#v.
func (t Target) GoString() string { return t.String() }

// parseServer reads what follows mysql://. net/url cannot: a socket path has slashes where it wants a host.
func parseServer(rest string) (Target, error) {
	bad := func(format string, args ...any) (Target, error) {
		return Target{}, errors.New(errors.InvalidArgument, reasonTarget, "mysql URL: "+format, args...)
	}
	rest, query, _ := strings.Cut(rest, "?")
	credentials, hostpart := "", rest
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		credentials, hostpart = rest[:i], rest[i+1:]
	}
	cfg := mysql.NewConfig()
	user, password, _ := strings.Cut(credentials, ":")
	var err error
	if cfg.User, err = url.PathUnescape(user); err != nil {
		return bad("the user name has a broken %%-escape")
	}
	if cfg.Passwd, err = url.PathUnescape(password); err != nil {
		return bad("the password has a broken %%-escape; write %% as %%25")
	}
	var addr, path string
	network := "tcp"
	if n, inner, ok := strings.Cut(hostpart, "("); ok {
		addr, path, ok = strings.Cut(inner, ")")
		if !ok || (n != "unix" && n != "tcp") {
			return bad("the address is host:port, tcp(host:port) or unix(/path/to/socket)")
		}
		network = n
	} else {
		addr, path, _ = strings.Cut(hostpart, "/")
	}
	if name := strings.Trim(path, "/"); name != "" {
		return bad("leave out the database name %q: each service has its own (dbslm_ngram, dbslm_memory, dbslm_concept); "+
			"to keep installations apart use ?schema_prefix=%s_", name, name)
	}
	if addr == "" {
		return bad("the host is missing: mysql://user:password@host:3306/")
	}
	if network == "tcp" {
		addr = withPort(addr)
		_, port, err := net.SplitHostPort(addr)
		if n, numErr := strconv.ParseUint(port, 10, 16); err != nil || numErr != nil || n == 0 {
			return bad("%q is no address; write host:3306, the port from 1 to 65535", addr)
		}
	}
	cfg.Net, cfg.Addr = network, addr
	t := Target{kind: kindMySQL, server: cfg}
	if err := t.serverParams(query); err != nil {
		return Target{}, err
	}
	return t, nil
}

func withPort(addr string) string {
	if strings.HasSuffix(addr, "]") || !strings.Contains(addr, ":") { // [::1] or db.example
		return addr + ":3306"
	}
	return addr
}

// ServerConfig is the driver's configuration of a server target, for tests and tools that administer the server; it contains
// the password. nil for embedded targets.
func (t Target) ServerConfig() *mysql.Config {
	if t.server == nil {
		return nil
	}
	return t.server.Clone()
}
