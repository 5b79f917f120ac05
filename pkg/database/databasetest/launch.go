package databasetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"dbslm/pkg/database"
)

const missingServer = `tests on MySQL need a server and found none.
  Debian, Ubuntu:  apt-get install mariadb-server
  or name one:     ` + dsnVariable + `=mysql://user:password@host:3306/ (the user must be allowed to create databases)`

// program finds a server program also where only an administrator's PATH looks.
func program(names ...string) string {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
		for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/usr/local/bin", "/opt/homebrew/bin"} {
			path := filepath.Join(dir, name)
			if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
				return path
			}
		}
	}
	return ""
}

func asRoot() []string {
	if os.Geteuid() == 0 {
		return []string{"--user=root"}
	}
	return nil
}

// start copies the template data directory and starts a server on the copy.
func start(args []string) (*Server, error) {
	daemon := program("mariadbd", "mysqld")
	if daemon == "" {
		return nil, errors.New(missingServer)
	}
	template, err := templateDir(daemon)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(shortTempDir(), "dbslm-db-")
	if err != nil {
		return nil, fmt.Errorf("a directory for the test server: %w", err)
	}
	if err := copyDir(template, filepath.Join(dir, "data")); err != nil {
		return nil, errors.Join(fmt.Errorf("copying the template data directory: %w", err), os.RemoveAll(dir))
	}
	s := &Server{dir: dir, args: append([]string{daemon}, args...)}
	target, err := database.ParseTarget("mysql://root@unix(" + filepath.Join(dir, "s") + ")/")
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s.base, s.config = target, target.ServerConfig()
	if err := s.launch(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// shortTempDir keeps the socket's path below the 107 bytes a Unix socket may have.
func shortTempDir() string {
	if dir := os.TempDir(); len(dir) < 60 {
		return dir
	}
	return "/tmp"
}

// guardScript starts the server and ends it, with its directory, as soon as its standard input closes: when the test process
// is done, however it ended. Pdeathsig would do this only for the thread that started the server.
const guardScript = `dir=$1; shift
"$@" </dev/null >>"$dir/log" 2>&1 &
pid=$!
cat >/dev/null
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
rm -rf "$dir"`

// launch starts the server process and waits until it answers.
func (s *Server) launch() error {
	if err := os.MkdirAll(filepath.Join(s.dir, "tmp"), 0o700); err != nil {
		return err
	}
	args := append([]string{"-c", guardScript, "sh", s.dir, s.args[0], "--no-defaults"}, asRoot()...)
	args = append(args,
		"--datadir="+filepath.Join(s.dir, "data"), "--socket="+filepath.Join(s.dir, "s"), "--pid-file="+filepath.Join(s.dir, "pid"),
		"--tmpdir="+filepath.Join(s.dir, "tmp"), // a starting server clears away what others keep in a shared one
		"--skip-networking", "--skip-name-resolve", "--skip-log-bin", "--local-infile=1",
		"--character-set-server=utf8mb4", "--collation-server=utf8mb4_bin",
		"--innodb-buffer-pool-size=256M", "--innodb-log-file-size=128M", "--innodb-flush-log-at-trx-commit=2", // survives kill -9 of the server
		"--table-definition-cache=4000", "--table-open-cache=4000", "--max-connections=400")
	args = append(args, s.args[1:]...)
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	shell := exec.CommandContext(context.Background(), "/bin/sh", args...) // ends by its standard input
	shell.Stdin = read
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C in the terminal reaches the test, not the server
	err = shell.Start()
	_ = read.Close()
	if err != nil {
		return errors.Join(fmt.Errorf("starting the test server: %w", err), write.Close())
	}
	s.guard, s.shell = write, shell
	return s.answering()
}

func (s *Server) answering() error {
	db, err := s.sql()
	if err != nil {
		return err
	}
	defer db.Close()
	var last error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		last = db.PingContext(ctx)
		cancel()
		if _, err := os.Stat(filepath.Join(s.dir, "pid")); last == nil && err == nil {
			return nil
		}
	}
	log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	if len(log) > 2000 {
		log = log[len(log)-2000:]
	}
	return fmt.Errorf("the test server does not answer: %w; its log ends:\n%s", last, log)
}

// remove ends the server and waits until its directory is gone.
func (s *Server) remove() {
	_ = s.guard.Close()
	_ = s.shell.Wait()
}

// templateDir returns an initialised, empty data directory, made once per server version, user and machine.
func templateDir(daemon string) (string, error) {
	version, err := exec.CommandContext(context.Background(), daemon, "--no-defaults", "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", daemon, err)
	}
	cache, err := os.UserCacheDir()
	if err != nil { // no HOME: containers
		cache = filepath.Join(os.TempDir(), fmt.Sprintf("dbslm-cache-%d", os.Getuid()))
	}
	base := filepath.Join(cache, "dbslm", "test-server")
	if err := os.MkdirAll(base, 0o700); err != nil {
		base = filepath.Join(os.TempDir(), fmt.Sprintf("dbslm-cache-%d", os.Getuid()))
		if err := os.MkdirAll(base, 0o700); err != nil {
			return "", fmt.Errorf("a directory for the test server's template: %w", err)
		}
	}
	key := strings.Map(func(r rune) rune {
		if r == '.' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return -1
	}, lastField(string(version)))
	dir := filepath.Join(base, fmt.Sprintf("%s-%d", key, os.Getuid()))
	lock, err := os.OpenFile(dir+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("locking the test server's template: %w", err)
	}
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	making := dir + ".making"
	if err := os.RemoveAll(making); err != nil {
		return "", err
	}
	if err := initialise(daemon, string(version), making); err != nil {
		return "", errors.Join(err, os.RemoveAll(making))
	}
	return dir, os.Rename(making, dir)
}

// lastField is the version in "mariadbd  Ver 10.11.19-MariaDB for debian-linux-gnu on x86_64 (Debian 12)".
func lastField(version string) string {
	_, after, found := strings.Cut(version, "Ver ")
	if fields := strings.Fields(after); found && len(fields) > 0 {
		return fields[0]
	}
	return "unknown"
}

func initialise(daemon, version, dir string) error {
	name, args := daemon, []string{"--no-defaults", "--initialize-insecure", "--datadir=" + dir}
	if strings.Contains(version, "MariaDB") {
		name = program("mariadb-install-db", "mysql_install_db")
		// A container may know no name for itself, not even localhost; --force makes nothing of it.
		args = []string{"--no-defaults", "--force", "--datadir=" + dir, "--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-log-file-size=16M"}
		if name == "" {
			return errors.New(missingServer + "\n  (found " + daemon + " but no mariadb-install-db)")
		}
	}
	out, err := exec.CommandContext(context.Background(), name, append(args, asRoot()...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

func copyDir(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if d.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		return copyFile(path, target)
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
