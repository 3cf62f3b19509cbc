"""Several photos at once: while one is decoded or encoded another is restored. Ctrl-C ends them cleanly."""

import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any, TypeVar

__all__ = ["in_order", "stopped_by_ctrl_c"]

T = TypeVar("T")
R = TypeVar("R")


def in_order(work: Callable[[T], R], items: Sequence[T], workers: int, stop: Event) -> Iterator[R]:
    """work(item) for each item, in their order, `workers` of them at once; begins no further one when `stop` is set.

    Decoders, numpy and the runtimes leave Python's lock while they compute, so threads are enough. At most twice as
    many items as workers are ahead of the one that is waited for. An exception of `work` stops the others.
    """
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                if stop.is_set():
                    break
                waiting.append(pool.submit(work, item))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BaseException:
            stop.set()
            for future in waiting:
                future.cancel()
            raise


@contextmanager
def stopped_by_ctrl_c() -> Iterator[Event]:
    """An event that the first Ctrl-C sets, so that what is in work can end; the second one is Python's own again."""
    stop = Event()

    def ask(number: int, frame: Any) -> None:
        stop.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
