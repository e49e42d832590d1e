"""The environment, read once into a frozen value. Every variable says here what it means.

Unreadable values are collected and reported together, by name (`BadSettings`): a server that quietly took a
default instead would run with a setting that nobody chose.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tropa.errors import TropaError
from tropa.text.address import Host as Host
from tropa.text.address import parse_host as parse_host
from tropa.text.durations import SECOND, parse_go_duration

T = TypeVar("T")


class BadSettings(TropaError):
    """One or more settings can't be used. `problems` has a line for each."""

    code = "bad-settings"

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says. Times are in seconds, `inf` meaning for ever; sizes in bytes."""

    host: Host = field(default_factory=Host)
    models: Path = Path("~/.ollama/models")
    keep_alive: float = 300.0
    context_length: int | None = None
    num_parallel: int | None = None
    max_loaded_models: int | None = None
    max_queue: int = 512
    load_timeout: float | None = 300.0
    serve_timeout: float | None = 300.0
    origins: tuple[str, ...] = ()
    debug: int = 0
    flash_attention: bool | None = None
    kv_cache_type: str = "f16"
    gpu_overhead: int = 0
    sched_spread: bool = False
    noprune: bool = False
    max_transfer_streams: int = 8
    go_template: bool | None = None
    llama_server: str | None = None
    memory_limit: str | None = None
    state: Path = Path("~/.cache/tropa")
    exit_with_stdin: bool = False
    api_keys: tuple[bytes, ...] = ()
    """The SHA-256 of each; the keys themselves are kept nowhere."""
    api_keys_file: Path | None = None
    """Where they came from, if from a file: it may change while the server runs."""
    no_auth: bool = False
    access_log: str = "text"
    client_timeout: float | None = 60.0


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this process. Raises BadSettings naming every variable that can't be used."""
    problems: list[str] = []

    def read(name: str, parse: Callable[[str], T], default: T, *, secret: bool = False) -> T:
        text = environ.get(name, "").strip().strip("\"'")
        if not text:
            return default
        try:
            return parse(text)
        except ValueError as exc:
            problems.append(f"{name}: {exc}" if secret else f"{name}={text}: {exc}")
            return default

    default = Settings()
    settings = Settings(
        host=read("OLLAMA_HOST", parse_host, default.host),
        models=read("OLLAMA_MODELS", _folder, None) or default.models.expanduser(),
        keep_alive=read("OLLAMA_KEEP_ALIVE", _duration, default.keep_alive),
        context_length=read("OLLAMA_CONTEXT_LENGTH", _count, 0) or None,
        num_parallel=read("OLLAMA_NUM_PARALLEL", _count, 0) or None,
        max_loaded_models=read("OLLAMA_MAX_LOADED_MODELS", _count, 0) or None,
        max_queue=read("OLLAMA_MAX_QUEUE", _positive, default.max_queue),
        load_timeout=read("OLLAMA_LOAD_TIMEOUT", _limit, default.load_timeout),
        serve_timeout=read("TROPA_SERVE_TIMEOUT", _limit, default.serve_timeout),
        origins=read("OLLAMA_ORIGINS", _list, default.origins),
        debug=read("OLLAMA_DEBUG", _level, default.debug),
        flash_attention=read("OLLAMA_FLASH_ATTENTION", _flag, None),
        kv_cache_type=read("OLLAMA_KV_CACHE_TYPE", _cache_type, default.kv_cache_type),
        gpu_overhead=read("OLLAMA_GPU_OVERHEAD", _count, default.gpu_overhead),
        sched_spread=read("OLLAMA_SCHED_SPREAD", _flag, default.sched_spread),
        noprune=read("OLLAMA_NOPRUNE", _flag, default.noprune),
        max_transfer_streams=read("OLLAMA_MAX_TRANSFER_STREAMS", _positive, default.max_transfer_streams),
        go_template=read("OLLAMA_GO_TEMPLATE", _flag, None),
        llama_server=read("TROPA_LLAMA_SERVER", str, default.llama_server),
        memory_limit=read("TROPA_MEMORY_LIMIT", _memory_limit, default.memory_limit),
        state=read("TROPA_STATE", _folder, None) or _state_home(environ).expanduser(),
        exit_with_stdin=read("TROPA_EXIT_WITH_STDIN", _flag, default.exit_with_stdin),
        api_keys=read("TROPA_API_KEYS", _api_keys, default.api_keys, secret=True),
        api_keys_file=keys_file(environ.get("TROPA_API_KEYS", "").strip().strip("\"'")),
        no_auth=read("TROPA_NO_AUTH", _flag, default.no_auth),
        client_timeout=read("TROPA_CLIENT_TIMEOUT", _limit, default.client_timeout),
        access_log=read("TROPA_ACCESS_LOG", _access_log, default.access_log),
    )
    if settings.api_keys and settings.no_auth:
        problems.append("TROPA_NO_AUTH=1: there are TROPA_API_KEYS too; unset one of them")
    if settings.flash_attention is False and settings.kv_cache_type.startswith("q"):
        problems.append(
            f"OLLAMA_KV_CACHE_TYPE={settings.kv_cache_type}: it needs flash attention, which OLLAMA_FLASH_ATTENTION "
            "switches off; unset one of them"
        )
    if problems:
        raise BadSettings(problems)
    return settings


def _folder(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError as exc:
        raise ValueError("there is no such user, or no home folder") from exc


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError("expected a whole number, 0 or more")
    return int(text)


def _positive(text: str) -> int:
    """A queue of none would refuse the very request that loads the first model."""
    if (count := _count(text)) < 1:
        raise ValueError("expected a whole number, 1 or more")
    return count


def _flag(text: str) -> bool:
    """Ollama takes everything but its words for "false" as true. So `yes` is true here too; `no`, which would be true
    as well and was hardly meant so, is refused."""
    if text.lower() in ("1", "t", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "f", "false"):
        return False
    raise ValueError("expected true or false (1 or 0)")


def _level(text: str) -> int:
    if re.fullmatch(r"[+-]?[0-9]{1,3}", text):
        return int(text)
    try:
        return int(_flag(text))
    except ValueError as exc:
        raise ValueError("expected 0, 1 (debug) or 2 (the engines' lines too)") from exc


def _duration(text: str) -> float:
    """A Go duration, or plain seconds; negative means for ever."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parse_go_duration(text) / SECOND
        except ValueError as exc:
            raise ValueError(f"expected a duration like 5m, 1h30m or a number of seconds ({exc})") from exc
    if math.isnan(seconds):
        raise ValueError("expected a duration like 5m, 1h30m or a number of seconds")
    return math.inf if seconds < 0 else seconds


def _limit(text: str) -> float | None:
    """A time limit: zero and less mean none."""
    seconds = _duration(text)
    return None if seconds in (0, math.inf) else seconds


def _list(text: str) -> tuple[str, ...]:
    return tuple(entry.strip() for entry in text.split(",") if entry.strip())


def _cache_type(text: str) -> str:
    allowed = ("f16", "q8_0", "q4_0", "f32", "bf16")
    if text.lower() not in allowed:
        raise ValueError(f"expected one of {', '.join(allowed)}")
    return text.lower()


def _memory_limit(text: str) -> str:
    from tropa.devices.budget import parse_budget

    parse_budget(text)
    return text


def _state_home(environ: Mapping[str, str]) -> Path:
    home = environ.get("XDG_CACHE_HOME", "").strip()
    return Path(home) / "tropa" if home.startswith("/") else Path("~/.cache/tropa")


def keys_file(text: str) -> Path | None:
    """The file that `TROPA_API_KEYS` names, if it does not list the keys itself."""
    if not re.match(r"[/~]|\.\.?[/\\]|[A-Za-z]:[/\\]", text):
        return None
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def _api_keys(text: str) -> tuple[bytes, ...]:
    """A list of keys, or a file with one in each line. No error repeats one."""
    if path := keys_file(text):
        return keys_of(path)
    return _digests((f"entry {number}", entry) for number, entry in enumerate(_list(text), 1))


def keys_of(path: Path) -> tuple[bytes, ...]:
    """The SHA-256 of each key in a file. Raises ValueError, which repeats none."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        why = getattr(exc, "strerror", None) or "not UTF-8"
        raise ValueError(f"{path} can't be read: {why}") from exc
    where = ((f"{path}, line {number}", line.strip()) for number, line in enumerate(lines, 1))
    return _digests((place, line) for place, line in where if line and not line.startswith("#"))


def _digests(entries: Iterable[tuple[str, str]]) -> tuple[bytes, ...]:
    found = tuple(_api_key(place, entry) for place, entry in entries)
    if not found:
        raise ValueError("there is no key in it")
    return found


def _api_key(place: str, entry: str) -> bytes:
    if entry.lower().startswith("sha256:"):
        if not re.fullmatch(r"[0-9a-fA-F]{64}", digits := entry[len("sha256:") :]):
            raise ValueError(f"{place}: expected sha256: and 64 hexadecimal digits")
        return bytes.fromhex(digits)
    if not re.fullmatch(r"[!-~]+", entry):
        raise ValueError(f"{place}: a key has no spaces and none but ASCII characters")
    import hashlib

    return hashlib.sha256(entry.encode()).digest()


def _access_log(text: str) -> str:
    if text.lower() not in ("off", "text", "json"):
        raise ValueError("expected off, text or json")
    return text.lower()
