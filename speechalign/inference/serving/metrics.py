"""What a server has done, counted, in the text format that Prometheus reads."""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)  # bounds of latencies
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)  # of batches


class Histogram:
    """How many values lie below each of some bounds."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def lines(self, name: str) -> Iterator[str]:
        """Write it: values up to each bound, their sum and number."""
        upto = list(accumulate(self.counts))
        for bound, count in zip([*map(str, self.bounds), "+Inf"], upto, strict=True):
            yield f'{name}_bucket{{le="{bound}"}} {count}'
        yield f"{name}_sum {self.total:.6f}"
        yield f"{name}_count {upto[-1]}"


class Metrics:
    """Counts of one server; any thread may add to them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._latency, self._batches = Histogram(SECONDS), Histogram(SIZES)
        self._heard = self._understanding = 0.0

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count a request, and the time from its first byte to its last answered."""
        with self._lock:
            self._requests[path, status] += 1
            self._latency.add(seconds)

    def understood(self, size: int, seconds: float) -> None:
        """Count a batch, and how long the model took."""
        with self._lock:
            self._batches.add(size)
            self._understanding += seconds

    def heard(self, seconds: float) -> None:
        """Count seconds of a recording that was answered."""
        with self._lock:
            self._heard += seconds

    def text(self, now: Mapping[str, float]) -> str:
        """Write all for Prometheus.

        Args:
            now: Further numbers, that go up and down.
        """
        with self._lock:
            rows = [
                "# TYPE speechalign_requests_total counter",
                *(
                    f'speechalign_requests_total{{path="{path}",status="{status}"}} {count}'
                    for (path, status), count in sorted(self._requests.items())
                ),
                "# TYPE speechalign_request_seconds histogram",
                *self._latency.lines("speechalign_request_seconds"),
                "# TYPE speechalign_batch_size histogram",
                *self._batches.lines("speechalign_batch_size"),
                "# TYPE speechalign_understanding_seconds_total counter",
                f"speechalign_understanding_seconds_total {self._understanding:.6f}",
                "# TYPE speechalign_audio_seconds_total counter",
                f"speechalign_audio_seconds_total {self._heard:.6f}",
            ]
        for name, value in now.items():
            rows += [f"# TYPE speechalign_{name} gauge", f"speechalign_{name} {value:g}"]
        return "\n".join(rows) + "\n"
