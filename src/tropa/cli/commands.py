"""Every command there is. The order is the one in which help lists them."""

from __future__ import annotations

from tropa.cli.command import Command, Flag, Takes
from tropa.cli.environment import CHAT, CLIENT, PROXIES, SERVER

_SHOW_PARTS = ("license", "modelfile", "parameters", "template", "system")

COMMANDS = (
    Command(
        "serve",
        "",
        "Start the server",
        "tropa.cli.serve:serve",
        aliases=("start",),
        environment=SERVER,
        more="It runs until Ctrl-C or SIGTERM, finishes what it is doing, and stops.",
    ),
    Command(
        "create",
        "MODEL",
        "Create a model from a Modelfile",
        "tropa.cli.create:create",
        least=1,
        most=1,
        flags=(
            Flag("file", "the Modelfile (default: Modelfile in this folder)", Takes.TEXT, "f", "NAME"),
            Flag("quantize", "quantize the weights, for example q4_K_M", Takes.TEXT, "q", "TYPE"),
            Flag("draft-quantize", "quantize the weights of the DRAFT model", Takes.TEXT, value="TYPE"),
        ),
        environment=CLIENT,
    ),
    Command(
        "show",
        "MODEL",
        "Show what a model is",
        "tropa.cli.show:show",
        least=1,
        most=1,
        flags=(
            *(Flag(part, f"only the {part}") for part in _SHOW_PARTS),
            Flag("verbose", "all metadata and tensors", short="v"),
        ),
        environment=CLIENT,
    ),
    Command(
        "run",
        "MODEL [PROMPT...]",
        "Ask a model, or chat with it",
        "tropa.cli.run:run",
        least=1,
        most=None,
        flags=(
            Flag(
                "keepalive",
                "how long the model stays loaded, for example 10m; negative: for ever",
                Takes.TEXT,
                value="DURATION",
            ),
            Flag("format", "form of the answer: json, or a JSON schema", Takes.TEXT, value="FORMAT"),
            Flag(
                "think",
                "think first: true, false, low, medium, high or max",
                Takes.TEXT,
                value="LEVEL",
                bare="true",
            ),
            Flag("hidethinking", "do not show the thinking"),
            Flag("verbose", "statistics after each answer"),
            Flag("nowordwrap", "do not wrap lines at words"),
            Flag("raw", "no colours for the Markdown and the code of an answer"),
            Flag("insecure", "fetch a missing model over http, for a registry without TLS"),
            Flag("truncate", "embedding models: cut too long inputs (--truncate=false: refuse them)"),
            Flag("dimensions", "embedding models: length of the vector", Takes.WHOLE, value="N"),
        ),
        environment=(*CLIENT, *CHAT),
        more=(
            "What is piped in becomes the first part of the prompt. Without a prompt, on a terminal,\n"
            "a chat begins. A model that is not here is pulled first.\n"
            "Images (and sounds) that a prompt names by a path, like ./photo.png, go with it to models\n"
            "that take them.\n"
            "If no server runs on this machine, one is started and stops when the command ends."
        ),
    ),
    Command(
        "stop",
        "MODEL",
        "Unload a running model",
        "tropa.cli.manage:stop",
        least=1,
        most=1,
        environment=CLIENT,
    ),
    Command(
        "pull",
        "MODEL",
        "Fetch a model from a registry",
        "tropa.cli.pull:pull",
        least=1,
        most=1,
        flags=(
            Flag("insecure", "over http, for a registry without TLS"),
            Flag("dry-run", "only say what would be fetched, and how large it is"),
        ),
        environment=(*CLIENT, *PROXIES),
        more=(
            "What was interrupted goes on where it was. hf.co/USER/REPO:QUANT and names at any OCI registry\n"
            "work too. Proxies and credentials are those of the server."
        ),
    ),
    Command(
        "push",
        "MODEL",
        "Give a model to a registry",
        "tropa.cli.push:push",
        least=1,
        most=1,
        flags=(Flag("insecure", "over http, for a registry without TLS"),),
        environment=(*CLIENT, *PROXIES),
        more="The name says where to: 'tropa cp MODEL registry.example.com/me/MODEL' gives it such a name.",
    ),
    Command(
        "export",
        "MODEL... FILE.tar",
        "Write models to a file, for a machine without a network",
        "tropa.cli.carry:export_models",
        least=2,
        most=None,
        flags=(Flag("force", "replace the file if it exists"),),
        environment=("OLLAMA_MODELS",),
        more=(
            "The file is an OCI image layout in a tar, which skopeo, crane and oras read as well; - is standard\n"
            "output. No server is needed."
        ),
    ),
    Command(
        "import",
        "FILE.tar [MODEL]",
        "Take models in from such a file",
        "tropa.cli.carry:import_models",
        least=1,
        most=2,
        flags=(Flag("list", "only say what is in it"),),
        environment=("OLLAMA_MODELS", "OLLAMA_NOPRUNE"),
        more=(
            "MODEL is the name to give it, if the file holds one model; - is standard input. Every byte is checked,\n"
            "and a model is there when it is whole. The file may be packed with gzip. No server is needed."
        ),
    ),
    Command(
        "login",
        "[REGISTRY]",
        "Log in to a registry",
        "tropa.cli.login:login",
        most=1,
        flags=(
            Flag("username", "the name there", Takes.TEXT, "u", "NAME"),
            Flag("password-stdin", "read the password from standard input"),
            Flag("insecure", "over http, for a registry without TLS"),
        ),
        more=(
            "The password goes to the system's keyring if the keyring package is there and finds one, else to\n"
            "a file that only you can read. Logins of docker are used as well.\n"
            "Registries that know you by a key, as the default one does: the key is shown."
        ),
    ),
    Command("logout", "[REGISTRY]", "Forget a login", "tropa.cli.login:logout", most=1),
    Command(
        "list",
        "[PREFIX]",
        "List the models that are here",
        "tropa.cli.listing:list_models",
        most=1,
        flags=(Flag("files", "the files of each: kind, size, path, and which models share them"),),
        aliases=("ls",),
        environment=CLIENT,
    ),
    Command(
        "ps",
        "[PREFIX]",
        "List the models that are loaded",
        "tropa.cli.listing:list_running",
        most=1,
        environment=CLIENT,
    ),
    Command(
        "plan",
        "MODEL",
        "Say what would happen if a model were asked for now",
        "tropa.cli.plan:plan",
        least=1,
        most=1,
        flags=(
            Flag("num-ctx", "context per slot, in tokens", Takes.WHOLE, value="N"),
            Flag("parallel", "slots", Takes.WHOLE, value="P"),
        ),
        environment=CLIENT,
        more="Nothing is loaded or unloaded by asking. Exit status 1: the model would be refused.",
    ),
    Command(
        "cp",
        "SOURCE DESTINATION",
        "Copy a model",
        "tropa.cli.manage:copy",
        least=2,
        most=2,
        environment=CLIENT,
    ),
    Command(
        "rm",
        "MODEL...",
        "Remove models",
        "tropa.cli.manage:remove",
        least=1,
        most=None,
        environment=CLIENT,
    ),
    Command(
        "check",
        "[MODEL...]",
        "Verify the models on the disk, and mend them",
        "tropa.cli.check:check",
        most=None,
        flags=(Flag("repair", "mend what can be mended without losing anything"),),
        environment=("OLLAMA_MODELS", "OLLAMA_NOPRUNE"),
        more=(
            "Reads every file of the models named, or of all, and compares it with its digest. Needs no\n"
            "server, and may run beside one. A repair puts damaged files aside, so that a pull fetches them\n"
            "again, and removes what is left over. Exit status 1: something is wrong, and still is."
        ),
    ),
    Command(
        "doctor",
        "",
        "Find out what works on this machine, and what to do about the rest",
        "tropa.cli.doctor:doctor",
        flags=(Flag("json", "as JSON, for programs"),),
        environment=SERVER,
        more=(
            "Tries the engine and looks at the processor, memory, GPUs, the models' folder, the address and the\n"
            "settings. Nothing is changed, and no server is needed. Exit status 1: something is broken."
        ),
    ),
    Command(
        "completion",
        "SHELL",
        "Write a script that completes commands and model names in a shell",
        "tropa.cli.completion:completion",
        most=1,
        flags=(Flag("models", "the models' names instead, as the scripts ask for them"),),
        environment=("OLLAMA_HOST", "OLLAMA_MODELS"),
        more=(
            'bash: eval "$(tropa completion bash)" in ~/.bashrc\n'
            'zsh:  eval "$(tropa completion zsh)" in ~/.zshrc, after compinit\n'
            "fish: tropa completion fish > ~/.config/fish/completions/tropa.fish"
        ),
    ),
)
