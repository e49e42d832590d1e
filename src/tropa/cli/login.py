"""`login` and `logout`: who we are to a registry.

Nothing here asks the server: it reads what is written when a registry wants to know. So both have to be the same
user's.
"""

from __future__ import annotations

import getpass
import sys

from tropa.cli import terminal
from tropa.cli.command import Call, UsageError
from tropa.library.name import HOST, InvalidName, Name
from tropa.registry.credentials import Credentials, Keyring, Store, default_path
from tropa.registry.identity import Identity
from tropa.registry.identity import default_path as key_path
from tropa.registry.registry import check_login
from tropa.registry.remote import HUGGING_FACE, Remote


def login(call: Call) -> int:
    host = _host(call.args)
    if Remote("https", host, "", "").signs:
        _show_key(host)
        return 0
    credentials = _asked(call, host)
    check_login(host, _Given(credentials), insecure=call.on("insecure"))
    where = Store(default_path()).put(host, credentials)
    sys.stdout.write(f"logged in to {host} as {credentials.username} (kept in {where})\n")
    return 0


def logout(call: Call) -> int:
    host = _host(call.args)
    if Store(default_path()).remove(host):
        sys.stdout.write(f"logged out of {host}\n")
    else:
        sys.stdout.write(f"not logged in to {host}\n")
    return 0


class _Given(Keyring):
    """What was typed just now, and nothing that was kept before."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def get(self, host: str) -> Credentials | None:
        return self._credentials


def _host(args: list[str]) -> str:
    text = args[0] if args else HOST
    host = text.rpartition("://")[2].rstrip("/")
    try:
        return Name(host, "library", "model", "latest").host.lower()
    except InvalidName as exc:
        raise UsageError(
            f"{text} is no registry's host name", hint="for example: registry.example.com:5000"
        ) from exc


def _show_key(host: str) -> None:
    where = (
        "https://huggingface.co/settings/keys" if host in HUGGING_FACE else "https://ollama.com/settings/keys"
    )
    key = Identity(key_path()).public
    sys.stdout.write(f"{host} knows you by your key. Add it to your account at {where}:\n\n{key}\n")


def _asked(call: Call, host: str) -> Credentials:
    username = call.text("username")
    if call.on("password-stdin"):
        if not username:
            raise UsageError("--password-stdin needs --username")
        password = (terminal.piped_text() or "").rstrip("\r\n")
    elif terminal.is_terminal(sys.stdin):
        username = username or _typed(f"Username for {host}: ")
        password = _typed(f"Password for {username}: ", hidden=True) if username else ""
    else:
        raise UsageError(
            "this is no terminal to ask for a password at", hint="use --username and --password-stdin"
        )
    if not username or not password:
        raise UsageError("a name and a password are needed")
    if ":" in username:
        raise UsageError("a username with a colon cannot be sent to a registry")
    return Credentials(username, password)


def _typed(prompt: str, *, hidden: bool = False) -> str:
    """What is typed at a terminal, wherever standard output goes. Nothing at all (Ctrl-D) is nothing."""
    if hidden:
        try:
            return getpass.getpass(prompt)
        except EOFError:
            line = ""
    else:
        sys.stderr.write(prompt)
        sys.stderr.flush()
        line = sys.stdin.readline()
    if not line:
        sys.stderr.write("\n")
    return line.strip()
