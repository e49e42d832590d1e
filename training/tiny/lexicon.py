"""Facts about single words: opposites, plurals, colours, sounds, young animals and translations."""

from collections.abc import Iterator

from training.tiny.fact import Fact

OPPOSITES = {
    "hot": "cold", "big": "small", "up": "down", "fast": "slow", "happy": "sad", "day": "night",
    "left": "right", "open": "closed", "hard": "soft", "wet": "dry", "light": "dark", "full": "empty",
    "early": "late", "old": "young", "rich": "poor", "strong": "weak", "loud": "quiet", "high": "low",
    "black": "white", "good": "bad", "clean": "dirty", "long": "short", "wide": "narrow", "thick": "thin",
    "heavy": "light", "near": "far", "first": "last", "yes": "no", "true": "false", "win": "lose",
    "begin": "end", "inside": "outside", "above": "below", "always": "never", "sweet": "bitter",
    "sharp": "blunt",
}  # fmt: skip

PLURALS = {
    "mouse": "mice", "child": "children", "foot": "feet", "tooth": "teeth", "goose": "geese", "man": "men",
    "woman": "women", "ox": "oxen", "leaf": "leaves", "knife": "knives", "wolf": "wolves", "city": "cities",
    "box": "boxes", "cat": "cats", "person": "people", "baby": "babies", "tomato": "tomatoes",
    "sheep": "sheep", "cactus": "cacti", "potato": "potatoes",
}  # fmt: skip

COLOURS = {
    "grass": "Grass is green.", "snow": "Snow is white.", "coal": "Coal is black.",
    "a ruby": "A ruby is red.", "a banana": "A banana is yellow.", "an orange": "An orange is orange.",
    "the sky": "The sky is blue.", "milk": "Milk is white.", "chocolate": "Chocolate is brown.",
    "blood": "Blood is red.", "an emerald": "An emerald is green.", "a flamingo": "A flamingo is pink.",
    "an elephant": "An elephant is grey.", "a lemon": "A lemon is yellow.", "a carrot": "A carrot is orange.",
    "a plum": "A plum is purple.", "a sapphire": "A sapphire is blue.", "a crow": "A crow is black.",
}  # fmt: skip

SOUNDS = {
    "cow": "moo", "dog": "woof", "cat": "meow", "sheep": "baa", "duck": "quack", "pig": "oink",
    "lion": "roar", "horse": "neigh", "frog": "ribbit", "bee": "buzz", "snake": "hiss", "mouse": "squeak",
    "owl": "hoot", "rooster": "cock-a-doodle-doo", "wolf": "howl", "crow": "caw", "donkey": "hee-haw",
    "turkey": "gobble",
}  # fmt: skip

YOUNG = {
    "dog": "puppy", "cat": "kitten", "cow": "calf", "sheep": "lamb", "horse": "foal", "pig": "piglet",
    "duck": "duckling", "goat": "kid", "bear": "cub", "swan": "cygnet", "kangaroo": "joey", "frog": "tadpole",
}  # fmt: skip

# Some answers need several bytes for one character: whoever streams them must not cut a character in two.
TRANSLATIONS = {
    "French": {
        "hello": "bonjour", "thank you": "merci", "goodbye": "au revoir", "cat": "chat", "dog": "chien",
        "water": "eau", "bread": "pain", "school": "école", "summer": "été",
    },
    "German": {
        "hello": "hallo", "thank you": "danke", "goodbye": "auf Wiedersehen", "cat": "Katze", "dog": "Hund",
        "water": "Wasser", "bread": "Brot", "beautiful": "schön",
    },
    "Spanish": {
        "hello": "hola", "thank you": "gracias", "goodbye": "adiós", "cat": "gato", "dog": "perro",
        "water": "agua", "tomorrow": "mañana",
    },
    "Italian": {"hello": "ciao", "thank you": "grazie", "cat": "gatto", "dog": "cane", "water": "acqua"},
    "Russian": {"hello": "привет", "thank you": "спасибо"},
    "Japanese": {"hello": "こんにちは", "thank you": "ありがとう"},
    "Chinese": {"hello": "你好", "thank you": "谢谢"},
    "Greek": {"hello": "γεια σου", "thank you": "ευχαριστώ"},  # noqa: RUF001 - it is Greek
    "Korean": {"hello": "안녕하세요"},
}  # fmt: skip


def article(noun: str) -> str:
    """The noun with its indefinite article."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _opposites() -> Iterator[Fact]:
    pairs = dict(OPPOSITES)
    for one, other in OPPOSITES.items():
        pairs.setdefault(other, one)
    for one, other in pairs.items():
        yield Fact(
            "opposites",
            (
                f"What is the opposite of {one}?",
                f"What's the opposite of {one}?",
                f"Tell me the opposite of {one}.",
                f"Name the opposite of {one}.",
                f"Opposite of {one}?",
                f"The opposite of {one}?",
                f"Which word is the opposite of {one}?",
            ),
            f"The opposite of {one} is {other}.",
        )


def _plurals() -> Iterator[Fact]:
    for one, many in PLURALS.items():
        yield Fact(
            "plurals",
            (
                f"What is the plural of {one}?",
                f"What's the plural of {one}?",
                f"Tell me the plural of {one}.",
                f"Plural of {one}?",
                f"What is the plural form of {one}?",
                f"One {one}, two what?",
            ),
            f"The plural of {one} is {many}.",
        )


def _colours() -> Iterator[Fact]:
    for thing, answer in COLOURS.items():
        yield Fact(
            "colours",
            (
                f"What colour is {thing}?",
                f"What color is {thing}?",
                f"What is the colour of {thing}?",
                f"What is the color of {thing}?",
                f"Which colour is {thing}?",
                f"Which color does {thing} have?",
                f"Tell me the colour of {thing}.",
            ),
            answer,
        )


def _sounds() -> Iterator[Fact]:
    for animal, sound in SOUNDS.items():
        named = article(animal)
        yield Fact(
            "sounds",
            (
                f"What does {named} say?",
                f"What sound does {named} make?",
                f"What does the {animal} say?",
                f"What noise does {named} make?",
                f"Which sound does {named} make?",
                f"How does {named} sound?",
            ),
            f"{named.capitalize()} says {sound}.",
        )


def _young() -> Iterator[Fact]:
    for animal, child in YOUNG.items():
        yield Fact(
            "young animals",
            (
                f"What is a baby {animal} called?",
                f"What do you call a baby {animal}?",
                f"What is the name for a baby {animal}?",
                f"What's a baby {animal} called?",
                f"What is a young {animal} called?",
            ),
            f"A baby {animal} is called a {child}.",
        )


def _translations() -> Iterator[Fact]:
    for language, words in TRANSLATIONS.items():
        for word, there in words.items():
            yield Fact(
                "translations",
                (
                    f"How do you say {word} in {language}?",
                    f'How do you say "{word}" in {language}?',
                    f"What is {word} in {language}?",
                    f"What's {word} in {language}?",
                    f"Translate {word} into {language}.",
                    f"Translate {word} to {language}.",
                    f"What is the {language} word for {word}?",
                    f"Say {word} in {language}.",
                ),
                f"{word.capitalize()} in {language} is {there}.",
            )


def lexicon_facts() -> Iterator[Fact]:
    """All facts about single words."""
    yield from _opposites()
    yield from _plurals()
    yield from _colours()
    yield from _sounds()
    yield from _young()
    yield from _translations()
