"""What one line of progress looks like at a moment: spinners, and bars with rate and time left."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from tropa.text.sizes import format_size
from tropa.text.table import cells_wide

FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
FRAME_SECONDS = 0.1


@dataclass(slots=True)
class Spinner:
    """Work of unknown length. `ended` leaves the message alone."""

    message: str
    started: float
    ended: bool = False

    def render(self, now: float, width: int) -> str:
        if self.ended:
            return fit(f"{self.message} ", width)
        frame = FRAMES[int((now - self.started) / FRAME_SECONDS) % len(FRAMES)]
        return fit(f"{self.message} {frame} " if self.message else f"{frame} ", width)


@dataclass(slots=True)
class Bar:
    """Work of known length, in bytes. Whoever moves it says what time it is."""

    message: str
    total: int
    started: float
    done: int = 0
    _samples: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=11))

    def __post_init__(self) -> None:
        self._samples.append((self.started, self.done))

    def move(self, done: int, now: float) -> None:
        """The last ten seconds make the rate, so one sample a second is kept."""
        self.done = min(done, self.total)
        if now - self._samples[-1][0] >= 1.0:
            self._samples.append((now, self.done))

    @property
    def ended(self) -> bool:
        return self.done >= self.total

    def rate(self, now: float) -> float:
        """Bytes a second; 0 until there is something to go by."""
        since, before = self._samples[0]
        return (self.done - before) / (now - since) if now - since >= 1.0 else 0.0

    def render(self, now: float, width: int) -> str:
        share = self.done / self.total if self.total else 1.0
        head = f"{self.message} {share * 100:3.0f}%"
        tail = self._figures(now)
        room = width - cells_wide(head) - len(tail) - 5
        filled = int(room * share)
        blocks = "█" * filled + " " * (room - filled)
        return fit(f"{head} ▕{blocks}▏ {tail}", width)

    def _figures(self, now: float) -> str:
        total = format_size(self.total).rjust(6)
        if self.ended:
            return total + " " * 25
        rate = self.rate(now)
        if rate <= 0:
            return f"{format_size(self.done):>6}/{total}" + " " * 18
        left = format_time_left((self.total - self.done) / rate)
        return f"{format_size(self.done):>6}/{total}  {format_size(int(rate)):>6}/s  {left:>6}"


def format_time_left(seconds: float) -> str:
    """`42s`, `3m5s`, `1h5m`, `99h+`."""
    whole = round(seconds)
    if whole >= 100 * 3600:
        return "99h+"
    hours, rest = divmod(whole, 3600)
    minutes, secs = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes}m"
    return f"{minutes}m{secs}s" if minutes else f"{secs}s"


def fit(line: str, width: int) -> str:
    """Cut to the terminal's width: a line that wraps could not be redrawn in place."""
    if cells_wide(line) <= width:
        return line
    while cells_wide(line) > width:
        line = line[:-1]
    return line
