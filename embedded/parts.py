"""The programs a run is made of, and the signals it waits for."""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from types import FrameType

from embedded.config import ROOT, Config, RunError

#: A log larger than this is put aside at the next start.
LARGEST_LOG = 5 * 1024 * 1024
#: How much of a dead part's log is shown.
LAST_LINES = 15
#: Linux's prctl option: the signal a process gets when its parent is gone.
PR_SET_PDEATHSIG = 1


class Signals:
    """Turns signals into something to wait for, without waking up in between."""

    def __init__(self) -> None:
        self.stops = 0
        self._reader, writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, self._note)
        # Under nohup it stays ignored.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        """Count what asks for the end; a child's end only wakes whoever waits."""
        if number != signal.SIGCHLD:
            self.stops += 1

    def wait(self, seconds: float | None = None) -> None:
        """Return at the next signal, or after so many seconds."""
        if select.select([self._reader], [], [], seconds)[0]:
            os.read(self._reader, 512)


class Part:
    """One of the programs of the run, in a process group of its own.

    A terminal's Ctrl-C reaches only the run itself, which then ends its parts in order;
    and what a part started can be ended with it.
    """

    def __init__(
        self,
        name: str,
        words: list[str],
        config: Config,
        *,
        held: int,
        answers: bool = False,
    ) -> None:
        """Start the program; it inherits the open file ``held``.

        With ``answers`` its standard output is kept for ``answer``.
        """
        self.name = name
        self.log = config.logs / f"{name}.log"
        if self.log.exists() and self.log.stat().st_size > LARGEST_LOG:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("a", encoding="utf-8") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                words,
                cwd=ROOT,
                env=config.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if answers else log,
                stderr=log,
                text=True,
                pass_fds=(held,),
                process_group=0,
                preexec_fn=end_with_parent(),
            )

    def runs(self) -> bool:
        """Tell whether the program has not ended."""
        return self._process.poll() is None

    def answer(self) -> str:
        """Return what an ended program printed, a few lines at most."""
        if self._process.returncode != 0 or self._process.stdout is None:
            raise RunError(self.obituary())
        return self._process.stdout.read()

    def ask_to_end(self) -> None:
        """Ask the program to finish what it is doing and end."""
        if self.runs():
            self._process.terminate()

    def sweep(self) -> None:
        """Kill what is left of the program and of everything it started."""
        # macOS refuses where nothing is left.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def obituary(self) -> str:
        """Say how the program ended and what it said last."""
        code = self._process.poll()
        if code is None:
            how = "does not answer"
        elif code < 0:
            how = f"was ended by {signal.Signals(-code).name}"
        else:
            how = f"ended by itself (exit code {code})"
        with self.log.open("rb") as log:
            log.seek(max(self._log_start, self.log.stat().st_size - 8192))
            said = log.read().decode(errors="replace").splitlines()[-LAST_LINES:]
        lines = [f"The {self.name} {how}. Its log is {self.log}"]
        if said:
            lines[0] += " and ends so:"
        return "\n".join(lines + [f"    {line}" for line in said])


def end_with_parent() -> Callable[[], None] | None:
    """Return what a child does before it becomes its program, where Linux can help.

    Without it a run that is killed outright would leave its parts behind.
    """
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def bind() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return bind
