"""The help of the chat prompt."""

from __future__ import annotations

GENERAL = """\
Available Commands:
  /set            Set session variables
  /show           Show model information
  /load <model>   Load another model, and start afresh
  /save <model>   Save this session as a model
  /clear          Forget the conversation
  /list           List the models that are here
  /bye            Leave
  /?, /help       Help for a command
  /? shortcuts    Help for keys

Use \"\"\" to begin and to end a message of several lines.

"""

FILES = """\
The path of an image (.jpg .png .webp) in a message sends the file with it, or of
a sound (.wav .mp3 .flac) to a model that hears: "What is in ./photo.png?"
Tab completes paths. Files may be dropped on the terminal.

"""

SET = """\
Available Commands:
  /set parameter ...     Set an option of the model
  /set system <string>   Set the system message
  /set history           Keep a history of what is typed
  /set nohistory         Keep none
  /set wordwrap          Wrap lines at words
  /set nowordwrap        Do not
  /set format json       Have every answer be JSON
  /set noformat          Do not
  /set verbose           Show statistics after each answer
  /set quiet             Do not
  /set think [level]     Think first
  /set nothink           Do not

"""

SHOW = """\
Available Commands:
  /show info         What the model is
  /show license      Its license
  /show modelfile    A Modelfile for it, as it is set up now
  /show parameters   Its options, and yours
  /show system       The system message
  /show template     The prompt template

"""

PARAMETERS = """\
Available Parameters:
  /set parameter seed <int>                Seed of the random numbers
  /set parameter num_predict <int>         Most tokens to generate
  /set parameter top_k <int>               Pick from the top k tokens
  /set parameter top_p <float>             Pick from tokens of this summed probability
  /set parameter min_p <float>             Pick from tokens of this probability, relative to the best
  /set parameter num_ctx <int>             Context length
  /set parameter temperature <float>       Creativity
  /set parameter repeat_penalty <float>    How strongly to avoid repetitions
  /set parameter repeat_last_n <int>       How far back to look for repetitions
  /set parameter num_gpu <int>             Layers to put on the GPU
  /set parameter stop <string> <string>    Texts that end the answer

"""

SHORTCUTS = """\
Available keyboard shortcuts:
  Ctrl + a            Beginning of the line
  Ctrl + e            End of the line
  Alt + b             Back one word
  Alt + f             Forward one word
  Ctrl + k            Delete to the end of the line
  Ctrl + u            Delete to the beginning of the line
  Ctrl + w            Delete the word before the cursor
  Up, Down            What was typed before
  Ctrl + r            Search in what was typed before
  Ctrl + j            A new line in the message
  Ctrl + g            Write the message in an editor (OLLAMA_EDITOR, VISUAL or EDITOR)
  Tab                 Complete a command, the name of a model, or a path

  Ctrl + l            Clear the screen
  Ctrl + c            Stop the answer
  Ctrl + d            Leave (/bye)
  Ctrl + z            Suspend

"""

HELP = {"set": SET, "show": SHOW, "shortcuts": SHORTCUTS}
