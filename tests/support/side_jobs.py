"""Jobs for workers in other processes, which import them by name."""

import os
import signal
from dataclasses import dataclass


@dataclass(frozen=True)
class Square:
    """A job that ends as it should."""

    n: int

    def __call__(self) -> int:
        return self.n**2


class EndsItsProcess:
    """A job whose process is killed."""

    def __call__(self) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return -1


class SaysItsProcess:
    """A job that says which process it runs in."""

    def __call__(self) -> int:
        return os.getpid()
