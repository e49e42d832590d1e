"""`tropa serve`: puts the parts together, listens, and takes everything apart again in the right order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace

import uvicorn

from tropa import __version__
from tropa.engines.candidates import candidates
from tropa.library.architectures import SUPPORTED
from tropa.library.bundled import packaged
from tropa.library.library import Library
from tropa.runners.choice import EngineChoice, NoEngine
from tropa.runners.herd import Herd
from tropa.runners.local import LocalLauncher
from tropa.runners.policy import policy
from tropa.runners.rundir import RunDir
from tropa.scheduler.core import Scheduler
from tropa.server.access import Origins
from tropa.server.app import application
from tropa.server.connection import connection
from tropa.server.keys import Keys, check, forget_keys
from tropa.server.listener import is_loopback, listen, most_connections
from tropa.server.log import configure
from tropa.server.native.transfer import Transfers
from tropa.service.models import Models
from tropa.service.service import Service
from tropa.settings import Settings

log = logging.getLogger("tropa.server")

DRAIN = 10  # seconds that running answers get to finish after the first signal to stop


def serve(settings: Settings) -> int:
    """Serve until told to stop; the exit status. Raises TropaError for what the user can mend, before listening."""
    configure(settings.debug, settings.access_log)
    check(settings)
    forget_keys()
    # What the pinned engine can run is known; an engine of the user's own will say so itself.
    known = None if settings.llama_server else SUPPORTED
    library = Library(settings.models, packaged(), prune=not settings.noprune, architectures=known)
    origins = Origins(settings.origins)
    engines = candidates(settings.llama_server)
    pruned = library.open()
    for warning in pruned.warnings:
        log.warning("%s", warning)
    listener = listen(settings.host.host, settings.host.port)
    rundir = RunDir()
    try:
        rundir.open()
        choice = EngineChoice(engines, packaged().path, rundir, settings.state / "engines.json")
        server = Server(settings, library, origins, choice, rundir, listener)
        runner = asyncio.Runner(loop_factory=_loop_factory())
        with runner:
            runner.run(server.run())
    finally:
        rundir.close()
        listener.close()
    return 0


class Server:
    """One run of the server, from listening to the last engine's end."""

    def __init__(
        self,
        settings: Settings,
        library: Library,
        origins: Origins,
        choice: EngineChoice,
        rundir: RunDir,
        listener: socket.socket,
    ) -> None:
        self._settings = settings
        self._library = library
        self._origins = origins
        self._choice = choice
        self._rundir = rundir
        self._listener = listener

    async def run(self) -> None:
        settings = self._settings
        launcher = LocalLauncher(self._choice, self._rundir, settings)
        herd = Herd(
            Scheduler(policy(settings, await launcher.devices())), launcher, stall=settings.serve_timeout
        )
        service = Service(Models(self._library, settings), herd)
        transfers = Transfers(self._library, settings.max_transfer_streams)
        host = settings.host.host
        app = application(
            service,
            self._origins,
            loopback=is_loopback(host),
            transfers=transfers,
            keys=Keys(settings.api_keys, settings.api_keys_file),
            access_log=settings.access_log,
            patience=settings.client_timeout,
        )
        await herd.start()
        web = _Uvicorn(
            uvicorn.Config(
                app,
                http=connection(settings.client_timeout, most_connections()),
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                server_header=False,
                date_header=True,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=DRAIN + 5,
            )
        )
        stopping = self._on_signals(web, herd, transfers)
        probing = asyncio.create_task(self._choose_engine())
        sweeping = asyncio.create_task(asyncio.to_thread(self._rundir.sweep))
        gc.freeze()  # what was made until now stays: no collection needs to look at it again
        # Where any port will do, this is the one.
        heard = replace(settings.host, port=self._listener.getsockname()[1])
        log.info("tropa %s listening on %s", __version__, heard.url)
        try:
            await web.serve(sockets=[self._listener])
        finally:
            log.info("stopping")
            await asyncio.gather(herd.stop(), *stopping)
            await self._choice.close()
            await asyncio.wait({probing, sweeping})

    async def _choose_engine(self) -> None:
        """Before the first request wants it."""
        with contextlib.suppress(asyncio.CancelledError):
            try:
                engine = await self._choice.engine()
            except NoEngine as exc:
                log.critical("%s", exc)
            else:
                log.info("engine: %s", engine.name)

    def _on_signals(self, web: uvicorn.Server, herd: Herd, transfers: Transfers) -> set[asyncio.Task[None]]:
        """The first signal lets running answers finish, the second cuts them off. Returns what is then under way."""
        loop = asyncio.get_running_loop()
        stopping: set[asyncio.Task[None]] = set()

        def ask() -> None:
            web.force_exit = bool(stopping)
            web.should_exit = True
            threading.Thread(target=transfers.close, daemon=True).start()
            stopping.add(loop.create_task(herd.stop(grace=0 if stopping else DRAIN)))

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, ask)
        if self._settings.exit_with_stdin:
            threading.Thread(target=_at_end_of_input, args=(loop, ask), daemon=True).start()
        return stopping


class _Uvicorn(uvicorn.Server):
    """Signals are ours."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _at_end_of_input(loop: asyncio.AbstractEventLoop, ask: object) -> None:
    """`tropa run` brings up a server for its own lifetime and holds the other end of our standard input."""
    assert callable(ask)
    while os.read(0, 4096):
        pass
    with contextlib.suppress(RuntimeError):  # the loop has ended already
        loop.call_soon_threadsafe(ask)


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    factory: type[asyncio.AbstractEventLoop] = uvloop.Loop
    return factory
