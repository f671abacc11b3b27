"""Systems that are not at hand, as far as this one can be made to lack what they lack."""

import os
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

LINUX_ALONE = (
    *("os.sched_getaffinity", "os.sched_setaffinity", "os.posix_fadvise", "os.posix_fallocate", "os.O_DIRECT"),
    *("os.O_TMPFILE", "os.O_PATH", "os.O_NOATIME", "os.copy_file_range", "os.splice", "os.memfd_create", "os.eventfd"),
    *("os.pidfd_open", "os.getrandom", "os.fdatasync", "os.pipe2", "os.setns", "os.unshare", "os.getresuid"),
    *("os.getxattr", "os.setxattr", "os.listxattr", "os.removexattr", "resource.prlimit", "resource.RUSAGE_THREAD"),
    *("select.epoll", "signal.sigtimedwait", "signal.sigwaitinfo", "signal.SIGRTMIN", "time.CLOCK_BOOTTIME"),
    *("mmap.MAP_POPULATE", "/proc", "/sys"),
)
"""What macOS has not got."""
NOT_BEFORE_MACOS_11 = ("os.preadv", "os.pwritev")
UNIX_ALONE = (
    *("fcntl", "resource", "pwd", "grp", "termios", "os.fork", "os.forkpty", "os.pread", "os.pwrite", "os.readv"),
    *("os.writev", "os.sendfile", "os.sysconf", "os.getloadavg", "os.getuid", "os.geteuid", "os.getgid", "os.killpg"),
    *("os.setsid", "os.getpgid", "os.getpgrp", "os.setpgid", "os.mkfifo", "os.mknod", "os.fchmod", "os.fchown"),
    *("os.chown", "os.lchown", "os.statvfs", "os.fstatvfs", "os.sync", "os.uname", "os.wait", "os.WNOHANG"),
    *("os.O_NONBLOCK", "os.O_CLOEXEC", "os.O_NOFOLLOW", "os.O_DIRECTORY", "os.O_SYNC", "os.O_DSYNC", "os.O_NOCTTY"),
    *("os.register_at_fork", "os.getpriority", "os.nice", "os.tcgetpgrp", "os.ttyname", "select.poll"),
    *("signal.SIGKILL", "signal.SIGALRM", "signal.SIGHUP", "signal.SIGUSR1", "signal.alarm", "signal.setitimer"),
    *("signal.pthread_sigmask", "signal.pthread_kill", "signal.sigwait", "signal.siginterrupt", "signal.SIGCHLD"),
)
"""What Windows has not got either."""


@dataclass(frozen=True)
class System:
    """Another system.

    Attributes:
        lacks: See `sitecustomize.py`.
        platform: What Python calls it; None where only calls are missing.
    """

    lacks: tuple[str, ...]
    platform: str | None = None

    def environment(self) -> dict[str, str]:
        """Variables that make a Python process of this system run as if it were there, and all that it starts."""
        return {
            "PYTHONPATH": os.pathsep.join([str(HERE), str(ROOT)]),
            "RELEASE_TEST_LACKS": " ".join(self.lacks),
            "RELEASE_TEST_PLATFORM": self.platform or "",
        }


SYSTEMS = {
    "macOS": System((*LINUX_ALONE, *NOT_BEFORE_MACOS_11), "darwin"),
    "Windows": System((*LINUX_ALONE, *NOT_BEFORE_MACOS_11, *UNIX_ALONE), "win32"),
}
