"""Reading while something else works: the next few answers are made in threads."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_MOST_THREADS = 4
"""Each may hold a whole scan as floats, more than 1 GB of a whole-body CT."""

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def ahead(
    function: Callable[[Item], Answer], items: Iterable[Item], threads: int | None = None
) -> Iterator[tuple[Item, Callable[[], Answer]]]:
    """Each item with a call for its answer, in order; the call raises what the function raised.

    Unpacking, interpolating and sorting let other threads work, so that threads are enough. At most as many answers
    as threads wait to be taken. Whoever stops early waits for those that have begun.

    Args:
        function: Called in other threads, once per item.
        items: What to call it with.
        threads: How many; those that this process may use, up to 4, when None.
    """
    count = threads or min(_MOST_THREADS, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)
    waiting: deque[tuple[Item, Future[Answer]]] = deque()
    pool = ThreadPoolExecutor(count, thread_name_prefix="reading")
    try:
        for item in items:
            waiting.append((item, pool.submit(function, item)))
            if len(waiting) > count:
                first, future = waiting.popleft()
                yield first, future.result
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result
    finally:
        pool.shutdown(cancel_futures=True)
