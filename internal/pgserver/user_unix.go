//go:build unix

package pgserver

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// unprivileged has cmd run as an ordinary user, to whom dir is given, and in a
// process group of its own.
func unprivileged(cmd *exec.Cmd, dir string) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() != 0 {
		return nil
	}
	uid, gid, err := ordinary()
	if err != nil {
		return err
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: gid}
	return os.Chown(dir, int(uid), int(gid))
}

func ordinary() (uid, gid uint32, err error) {
	var u *user.User
	for _, name := range []string{"postgres", "nobody"} {
		if u, err = user.Lookup(name); err == nil {
			break
		}
	}
	if err != nil {
		return 0, 0, fmt.Errorf("there is no user to run PostgreSQL as: %w", err)
	}
	uid64, errUID := strconv.ParseUint(u.Uid, 10, 32)
	gid64, errGID := strconv.ParseUint(u.Gid, 10, 32)
	if errUID != nil || errGID != nil {
		return 0, 0, fmt.Errorf("the user %s has IDs %s and %s, which are no numbers", u.Username, u.Uid, u.Gid)
	}
	return uint32(uid64), uint32(gid64), nil
}

// killAll ends a process at once.
func killAll(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) }

// stopped halts a process where it is.
func stopped(pid int) error { return syscall.Kill(pid, syscall.SIGSTOP) }
