"""What Python has under POSIX and lacks under Windows."""

from __future__ import annotations

MODULES = frozenset("crypt fcntl grp nis ossaudiodev posix pty pwd readline resource spwd syslog termios tty".split())
OF_OS = frozenset(
    """
    O_CLOEXEC O_DIRECTORY O_NOCTTY O_NOFOLLOW O_NONBLOCK O_SYNC chown chroot copy_file_range fchdir fchmod fchown fork
    forkpty getegid geteuid getgid getloadavg getpgid getpgrp getpriority getsid getuid killpg lchown mkfifo mknod nice
    pipe2 posix_fadvise posix_fallocate posix_spawn pread preadv pwrite pwritev sched_getaffinity sched_setaffinity
    sendfile setpgid setpriority setsid setuid wait wait3 wait4 waitid
    """.split()
)
OF_SIGNAL = frozenset(
    "SIGALRM SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTSTP SIGUSR1 SIGUSR2 alarm pause".split()
)
