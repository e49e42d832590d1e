"""The environment, as help and `doctor` explain it: variables that count, and those of Ollama that do nothing here."""

from __future__ import annotations

from collections.abc import Iterable

from tropa.text.distance import distance

ENVIRONMENT = {
    "OLLAMA_HOST": "address of the server (default 127.0.0.1:11434)",
    "OLLAMA_MODELS": "folder of the models (default ~/.ollama/models)",
    "OLLAMA_KEEP_ALIVE": "how long an idle model stays loaded (default 5m; negative: for ever)",
    "OLLAMA_CONTEXT_LENGTH": "context where a request asks for none (default 4096 tokens, more on large GPUs)",
    "OLLAMA_NUM_PARALLEL": "requests at a time for each model (default 4 if memory allows, else 1)",
    "OLLAMA_MAX_LOADED_MODELS": "models loaded at a time (default 3 for each GPU, 3 on the CPU)",
    "OLLAMA_MAX_QUEUE": "requests that may wait (default 512)",
    "OLLAMA_LOAD_TIMEOUT": "how long a load may stall (default 5m)",
    "TROPA_SERVE_TIMEOUT": "how long a busy engine may give no sign of life (default 5m)",
    "OLLAMA_ORIGINS": "further web origins that may call the server, separated by commas",
    "TROPA_API_KEYS": "keys of which clients have to show one: a list, or a file of them",
    "TROPA_NO_AUTH": "serve other machines without keys (1)",
    "TROPA_CLIENT_TIMEOUT": "how long a client may take to send its request (default 60s)",
    "TROPA_ACCESS_LOG": "a line for each request: text, json or off (default text)",
    "OLLAMA_DEBUG": "more about what happens in the log: 1, or 2 with the engines' own lines",
    "OLLAMA_FLASH_ATTENTION": "flash attention on or off; unset: as the engine thinks best",
    "OLLAMA_KV_CACHE_TYPE": "type of the context cache: f16, q8_0 or q4_0 (default f16)",
    "OLLAMA_GO_TEMPLATE": "use a model's Go template (1) or its GGUF's own (0); unset: the better one",
    "OLLAMA_GPU_OVERHEAD": "bytes to leave free on each GPU",
    "OLLAMA_SCHED_SPREAD": "spread every model over all GPUs",
    "OLLAMA_NOPRUNE": "keep blobs that no model uses",
    "OLLAMA_NOHISTORY": "keep no history of what is typed",
    "OLLAMA_EDITOR": "editor for Ctrl-G in a chat (default: VISUAL, EDITOR)",
    "OLLAMA_MAX_TRANSFER_STREAMS": "connections for one blob that is pulled or pushed (default 8)",
    "HTTPS_PROXY": "proxy for registries; also HTTP_PROXY, and NO_PROXY for exceptions",
    "TROPA_API_KEY": "key to show to the server; also OLLAMA_API_KEY",
    "TROPA_PLAIN": "no colours for the Markdown and the code of answers (1)",
    "TROPA_LLAMA_SERVER": "a llama-server executable to use as the engine",
    "TROPA_MEMORY_LIMIT": "most memory that models may take (6GiB, 50% or cpu=8GiB,cuda:0=50%)",
    "TROPA_STATE": "folder for what the server remembers (default ~/.cache/tropa)",
}
CHAT = ("OLLAMA_NOHISTORY", "OLLAMA_EDITOR", "TROPA_PLAIN")
CLIENT = ("OLLAMA_HOST", "TROPA_API_KEY")
PROXIES = ("HTTPS_PROXY",)
SERVER = tuple(name for name in ENVIRONMENT if name not in (*CHAT, "TROPA_API_KEY"))

SECRET = ("TROPA_API_KEYS",)
"""Settings whose values are shown to nobody."""

ENGINES_OWN = (
    *("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GGML_VK_VISIBLE_DEVICES"),
    *("GPU_DEVICE_ORDINAL", "HSA_OVERRIDE_GFX_VERSION"),
)
"""Which devices there are, for the engine to read: it gets them as they are."""

_ALSO_KNOWN = ("OLLAMA_API_KEY", "TROPA_EXIT_WITH_STDIN")
_NO_CLOUD = "nothing here ever asks a cloud service"
_GPUS = "which GPUs can be used is up to the engine: TROPA_LLAMA_SERVER names one that is built for yours"
_FIT = "how a model is spread over the devices is decided here, and OLLAMA_GPU_OVERHEAD and TROPA_MEMORY_LIMIT count"
_GONE = "Ollama itself has given it up"

WITHOUT_EFFECT = {
    "OLLAMA_LLM_LIBRARY": "the engine is tried and not guessed; TROPA_LLAMA_SERVER names another one",
    "OLLAMA_VULKAN": _GPUS,
    "OLLAMA_IGPU_ENABLE": _GPUS,
    "OLLAMA_INTEL_GPU": _GPUS,
    "LLAMA_ARG_FIT": _FIT,
    "LLAMA_ARG_FIT_TARGET": _FIT,
    "OLLAMA_NO_CLOUD": _NO_CLOUD,
    "OLLAMA_REMOTES": _NO_CLOUD,
    "OLLAMA_CLOUD_BASE_URL": _NO_CLOUD,
    "OLLAMA_AUTH": "requests are not signed; the key in TROPA_API_KEY is shown instead",
    "OLLAMA_DEBUG_LOG_REQUESTS": "what people ask is never written to a disk; TROPA_ACCESS_LOG=json says the rest",
    "OLLAMA_EXPERIMENT": "there is nothing experimental to switch on",
    "OLLAMA_RUNNERS_DIR": _GONE,
    "OLLAMA_TMPDIR": _GONE,
}
"""What means something to Ollama and nothing here, and why: whoever sets it should hear of it."""


def without_effect(names: Iterable[str]) -> list[tuple[str, str]]:
    """Those of the variables that look like settings and are none, in order, each with what to do instead."""
    found = []
    for name in sorted(names):
        if why := WITHOUT_EFFECT.get(name):
            found.append((name, why))
        elif name.startswith(("OLLAMA_", "TROPA_")) and name not in (*ENVIRONMENT, *_ALSO_KNOWN):
            close = _closest(name)
            found.append(
                (name, f"is it {close}?" if close else "see 'tropa serve --help' for those that have")
            )
    return found


def _closest(name: str) -> str:
    """A setting that differs in two letters at most, or in its prefix; empty if none does."""
    other = (
        name.replace("TROPA_", "OLLAMA_") if name.startswith("TROPA_") else name.replace("OLLAMA_", "TROPA_")
    )
    if other in ENVIRONMENT:
        return other
    return next((each for each in ENVIRONMENT if distance(name, each) <= 2), "")
