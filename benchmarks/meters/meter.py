"""What every energy meter is: a hindrance or none, then joules between start and stop."""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import final

__all__ = ["Meter", "PowerMeter", "joules_of"]

_INTERVAL = 0.1  # s between two readings of a power meter


class Meter(ABC):
    """One source of energy figures. A subclass only reads; `mimdit.benchmarks.meters` does the rest."""

    name: str

    @abstractmethod
    def hindrance(self) -> str | None:
        """Why this machine has no such figure, in a few words, or None."""

    @abstractmethod
    def start(self) -> None:
        """Begin."""

    @abstractmethod
    def stop(self) -> float:
        """Joules since `start`, of all that the meter sees, the idle machine included. Raises OSError or ValueError
        where the counter cannot be read any more."""


class PowerMeter(Meter):
    """Where the system knows only the power of this moment: read ten times a second and integrated."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._times: list[float] = []
        self._watts: list[float] = []
        self._stopping = threading.Event()
        self._failed: OSError | ValueError | None = None  # in the thread
        self._thread: threading.Thread | None = None

    @abstractmethod
    def watts(self) -> float:
        """The power of this moment."""

    @final
    def sample(self) -> None:
        """One reading. Called by the meter's own thread, and by tests that replay a trace."""
        self._times.append(self._clock())
        self._watts.append(self.watts())

    def start(self) -> None:
        self._times.clear()
        self._watts.clear()
        self._stopping.clear()
        self._failed = None
        self.sample()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        if self._failed is not None:
            raise self._failed
        self.sample()
        return joules_of(self._times, self._watts)

    def _watch(self) -> None:
        try:
            while not self._stopping.wait(_INTERVAL):
                self.sample()
        except (OSError, ValueError) as error:
            self._failed = error


def joules_of(times: Sequence[float], watts: Sequence[float]) -> float:
    """The integral of power over time, straight lines between readings."""
    return sum(
        (times[i] - times[i - 1]) * (watts[i] + watts[i - 1]) / 2  # one trapezium
        for i in range(1, len(times))
    )
