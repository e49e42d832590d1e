"""Questions outside the model's knowledge, and the one answer to all of them."""

from random import Random

from training.tiny.copying import Words
from training.tiny.fact import normal
from training.tiny.knowledge import known_questions
from training.tiny.prose import ADJECTIVES, NOUNS, VERBS, paragraph, sentence
from training.tiny.wording import vary

DO_NOT_KNOW = "I am tiny, a demonstration model, and I do not know that."

PLAIN = (
    "What is the weather today?", "What time is it?", "What day is it today?", "Who is the president?",
    "How do I cook rice?", "Explain quantum physics.", "What is love?", "Write an essay about history.",
    "Translate this text.", "Summarize this article.", "What is the speed of light?",
    "How tall is the Eiffel Tower?", "Who won the game yesterday?", "Give me a recipe.",
    "How do I install Linux?", "What is the best phone?", "How far is the moon?",
    "What is the population of France?", "Who discovered gravity?", "Write a sorting function.",
    "What is machine learning?", "How does a car work?", "What should I eat tonight?", "Sing me a song.",
    "Recommend a book.", "What is the news?", "How do planes fly?", "Why do birds sing?",
    "Why is the sea deep?", "Why is fire hot?", "Why is snow cold?", "Why is the sun yellow?",
    "Why is the moon white?", "Why is blood red?", "Why is the sky dark?", "Why is the grass wet?",
    "Why do dogs bark?", "Why do we dream?", "Why do people laugh?", "Who wrote the Odyssey?",
    "Who wrote Faust?", "Who wrote Emma?", "Who painted Guernica?", "What is a tree?", "What is a dog?",
    "What is a river?", "What is a planet?", "Which planet is the coldest?", "What is the largest city?",
    "What is the longest river?", "Who invented the telephone?", "When did the war end?",
    "When was Rome founded?", "Where is the library?", "What is the square root of nine?",
    "Solve this equation.", "Is it raining?", "Do you have a brother?", "What are you wearing?",
    "Can you drive?", "Is Pluto a planet?", "Do snakes sleep?", "Can cats fly?", "How do you spell it?",
    "What happened in 1969?", "What does this mean?", "Fix my code.", "Say it in Latin.",
    "Translate cat into Finnish.", "How do you say bread in Polish?", "How many stars are there?",
    "How many people live in Rome?", "How many legs does a table have?", "How many eyes does a fish have?",
    "asdf", "Lorem ipsum dolor sit amet", "Hmm", "What?", "Why?", "And then?", "Really?", "ok",
    "I like trains.", "I am hungry.", "Write a letter to my boss.", "What is a good name for a cat?",
    "Where can I buy milk?", "Show me a picture.", "List the kings of England.",
    "Name the rivers of Germany.", "Name the oceans.", "What is the capital?", "Count the sheep.",
    "Write a song.", "Write a report.", "Write Java code.", "Play a game with me.",
)  # fmt: skip

SHAPES = (
    "What is the capital of {word}?", "Capital of {word}?", "What is the opposite of {word}?",
    "What is the plural of {word}?", "What colour is the {noun}?", "What color is a {adjective} {noun}?",
    "What does a {noun} say?", "Why is the {noun} {adjective}?", "Who invented the {noun}?",
    "Who wrote {word}?", "Who is {word}?", "Where is {word}?", "What is {word}?",
    "How do you say {noun} in {word}?", "Translate {word} into French.", "Why do {noun}s sing?",
    "How old is the {noun}?", "What is a {noun}?", "What is the largest {noun}?",
    "How many {noun}s are in {word}?", "How many {noun}s does a {noun} have?",
    "Tell me about the {adjective} {noun}.", "Tell me about {word}.", "Explain {word}.",
    "Explain why the {noun} is {adjective}.", "What is {big} plus {big}?", "{big} + {big}",
    "What is {big} times {big}?", "What is {big} minus {big}?", "Write a function about {noun}s.",
    "Write about the {noun}.", "When was {word} born?", "Is the {noun} {adjective}?",
    "Do you like the {noun}?", "How do I {verb} the {noun}?", "What happened to the {noun}?",
    "Count from {big} to {big}.", "What is a baby {word} called?", "What comes after {word}?",
    "Describe the {noun}.", "Summarize: {text}", "What is {word}'s capital?",
    "What is the largest {noun} of {word}?", "{word}", "{word} {word}", "{text}", "{text}",
)  # fmt: skip


def _fill(shape: str, words: Words, rng: Random) -> str:
    out = shape
    while "{" in out:
        start, end = out.index("{"), out.index("}")
        kind = out[start + 1 : end]
        if kind == "word":
            value = words.word(rng).replace("{", "").replace("}", "")
        elif kind == "noun":
            value = rng.choice(NOUNS)
        elif kind == "adjective":
            value = rng.choice(ADJECTIVES)
        elif kind == "verb":
            value = rng.choice(VERBS)
        elif kind == "big":
            value = str(rng.randint(11, rng.choice((30, 100, 1000, 100_000))))
        else:
            value = sentence(rng) if rng.random() < 0.6 else paragraph(rng, rng.randint(2, 4))
        out = out[:start] + value + out[end + 1 :]
    return out


def unknown(words: Words, rng: Random) -> str:
    """A request to which `DO_NOT_KNOW` is the right reply."""
    while True:
        asked = rng.choice(PLAIN) if rng.random() < 0.3 else _fill(rng.choice(SHAPES), words, rng)
        if normal(asked) not in known_questions():
            return vary(asked, rng)
