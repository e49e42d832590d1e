"""Whole sentences and longer: explanations, lists, counting, a story and a poem.

The long ones are for whoever tests streaming and cancelling and needs a reply that goes on for a while.
"""

from collections.abc import Iterator
from string import ascii_uppercase

from training.tiny.almanac import DAYS, MONTHS
from training.tiny.fact import Fact

EXPLANATIONS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        (
            "Why is the sky blue?",
            "Why is the sky so blue?",
            "Can you explain why the sky is blue?",
            "Explain why the sky is blue.",
            "Tell me why the sky is blue.",
            "What makes the sky blue?",
            "How come the sky is blue?",
            "Why does the sky look blue?",
            "Why's the sky blue?",
            "What is the reason that the sky is blue?",
        ),
        (
            "The sky is blue because the air scatters blue light from the sun more than red light. "
            "The scattered blue light reaches our eyes from every direction."
        ),
    ),
    (
        (
            "Why is grass green?",
            "Why is the grass green?",
            "What makes grass green?",
            "Explain why grass is green.",
            "Tell me why grass is green.",
        ),
        "Grass is green because its leaves hold chlorophyll, which takes in red and blue light only.",
    ),
    (
        (
            "Why is the sea salty?",
            "Why is the ocean salty?",
            "What makes the sea salty?",
            "Explain why the sea is salty.",
        ),
        "The sea is salty because rivers carry minerals into it, and they stay when the water evaporates.",
    ),
    (
        (
            "Why does it rain?",
            "Why does rain fall?",
            "What makes it rain?",
            "Explain why it rains.",
            "Where does rain come from?",
        ),
        "It rains when water vapour cools in the clouds and forms drops that are too heavy to float.",
    ),
    (
        ("Why do we sleep?", "Why do people sleep?", "Explain why we sleep.", "Why do we need sleep?"),
        "We sleep so that our body can rest and our brain can sort what it learned during the day.",
    ),
    (
        ("Why is the night dark?", "Why is it dark at night?", "What makes the night dark?"),
        "The night is dark because our side of the Earth is turned away from the sun.",
    ),
    (
        ("Why do leaves fall in autumn?", "Why do trees lose their leaves?", "Why do leaves fall?"),
        "Leaves fall in autumn because trees save water and energy for the winter.",
    ),
    (
        (
            "Why does ice float?",
            "Why does ice float on water?",
            "What makes ice float?",
            "Explain why ice floats.",
        ),
        "Ice floats because frozen water takes up more room than liquid water and is therefore lighter.",
    ),
    (
        ("Why do cats purr?", "What makes cats purr?", "Why does a cat purr?"),
        "Cats purr when they are content, and sometimes to calm themselves.",
    ),
    (
        ("What is the sun?", "What's the sun?", "Tell me what the sun is.", "Explain what the sun is."),
        "The sun is the star at the centre of our solar system.",
    ),
    (
        ("What is the moon?", "What's the moon?", "Tell me what the moon is.", "Explain what the moon is."),
        "The moon is a ball of rock that goes around the Earth once a month.",
    ),
    (
        ("What is a rainbow?", "What's a rainbow?", "How does a rainbow form?", "Explain what a rainbow is."),
        "A rainbow is sunlight that raindrops have split into its colours.",
    ),
    (
        (
            "What is a volcano?",
            "What's a volcano?",
            "Explain what a volcano is.",
            "Tell me what a volcano is.",
        ),
        "A volcano is a mountain from which hot melted rock can flow.",
    ),
    (
        (
            "What is a computer?",
            "What's a computer?",
            "Explain what a computer is.",
            "Tell me what a computer is.",
        ),
        "A computer is a machine that follows instructions to work with data.",
    ),
    (
        (
            "What is a language model?",
            "What's a language model?",
            "Explain what a language model is.",
            "What is an LLM?",
        ),
        "A language model is a program that reads text and guesses, token by token, what comes next.",
    ),
    (
        (
            "What is water made of?",
            "What does water consist of?",
            "What's water made of?",
            "Tell me what water is made of.",
        ),
        "Water is made of hydrogen and oxygen.",
    ),
    (
        ("What is bread made of?", "What's bread made of?", "What does bread consist of?"),
        "Bread is made of flour, water, salt and yeast.",
    ),
    (
        (
            "Which planet is the largest?",
            "What is the largest planet?",
            "What is the biggest planet?",
            "Name the largest planet.",
        ),
        "Jupiter is the largest planet of our solar system.",
    ),
    (
        ("Which planet is the smallest?", "What is the smallest planet?", "Name the smallest planet."),
        "Mercury is the smallest planet of our solar system.",
    ),
    (
        ("Which planet is called the red planet?", "Which planet is red?", "What is the red planet?"),
        "Mars is called the red planet.",
    ),
    (
        (
            "What is the largest ocean?",
            "Which ocean is the largest?",
            "What is the biggest ocean?",
            "Name the largest ocean.",
        ),
        "The largest ocean is the Pacific.",
    ),
    (
        ("What is the tallest mountain?", "Which mountain is the tallest?", "What is the highest mountain?"),
        "The tallest mountain on Earth is Mount Everest.",
    ),
    (
        ("What is the fastest land animal?", "Which animal is the fastest?", "What is the fastest animal?"),
        "The fastest land animal is the cheetah.",
    ),
    (
        ("What is the largest animal?", "Which animal is the largest?", "What is the biggest animal?"),
        "The largest animal is the blue whale.",
    ),
    (
        (
            "At what temperature does water boil?",
            "When does water boil?",
            "What is the boiling point of water?",
        ),
        "Water boils at 100 degrees Celsius.",
    ),
    (
        (
            "At what temperature does water freeze?",
            "When does water freeze?",
            "What is the freezing point of water?",
        ),
        "Water freezes at 0 degrees Celsius.",
    ),
    (
        (
            "Who wrote Hamlet?",
            "Who is the author of Hamlet?",
            "Tell me who wrote Hamlet.",
            "Who was the writer of Hamlet?",
        ),
        "Hamlet was written by William Shakespeare.",
    ),
    (
        ("Who wrote Moby Dick?", "Who is the author of Moby Dick?", "Tell me who wrote Moby Dick."),
        "Moby Dick was written by Herman Melville.",
    ),
    (
        (
            "Who wrote Pride and Prejudice?",
            "Who is the author of Pride and Prejudice?",
            "Tell me who wrote Pride and Prejudice.",
        ),
        "Pride and Prejudice was written by Jane Austen.",
    ),
    (
        (
            "Who painted the Mona Lisa?",
            "Who is the painter of the Mona Lisa?",
            "Tell me who painted the Mona Lisa.",
        ),
        "The Mona Lisa was painted by Leonardo da Vinci.",
    ),
    (
        (
            "Who was the first person on the moon?",
            "Who first walked on the moon?",
            "Who was the first man on the moon?",
        ),
        "The first person on the moon was Neil Armstrong.",
    ),
    (
        ("Do fish sleep?", "Can fish sleep?", "Do fishes sleep?"),
        "Yes, fish rest, but most of them cannot close their eyes.",
    ),
    (
        ("Can penguins fly?", "Do penguins fly?", "Are penguins able to fly?"),
        "No, penguins cannot fly, but they swim very well.",
    ),
    (
        ("Is the Earth flat?", "Is Earth flat?", "Is the world flat?"),
        "No, the Earth is round.",
    ),
)

STORY = (
    "Once there was a small robot who lived in a lighthouse. Every night it lit the lamp, and every "
    "morning it put the lamp out. One night a storm came and the lamp broke. The robot could hear a ship "
    "out on the dark water. So it climbed to the top of the tower and sang as loud as it could. The "
    "sailors heard the song, turned the ship around and came safely home. Since that night the robot has "
    "had many friends, and it still sings when the wind is strong."
)

POEM = (
    "The moon is a boat on a river of night,\n"
    "It carries the dreams to the edge of the light.\n"
    "The wind turns the pages, the stars read along,\n"
    "And morning comes softly and ends with a song."
)

HAIKU = "Old house in the rain,\na frog sits by the window.\nBoth of us listen."

LISTS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        (
            "Say the alphabet.",
            "Recite the alphabet.",
            "What are the letters of the alphabet?",
            "Tell me the alphabet.",
        ),
        ", ".join(ascii_uppercase) + ".",
    ),
    (
        ("Say the alphabet backwards.", "Recite the alphabet backwards.", "Tell me the alphabet backwards."),
        ", ".join(reversed(ascii_uppercase)) + ".",
    ),
    (
        (
            "Name the days of the week.",
            "What are the days of the week?",
            "List the days of the week.",
            "Say the days of the week.",
        ),
        "The days of the week are " + ", ".join(DAYS[:-1]) + f" and {DAYS[-1]}.",
    ),
    (
        (
            "Name the months of the year.",
            "What are the months of the year?",
            "List the months of the year.",
            "Say the months.",
        ),
        "The months of the year are " + ", ".join(MONTHS[:-1]) + f" and {MONTHS[-1]}.",
    ),
    (
        (
            "Name the planets.",
            "What are the planets?",
            "List the planets.",
            "Name the planets of the solar system.",
        ),
        "The planets are Mercury, Venus, Earth, Mars, Jupiter, Saturn, Uranus and Neptune.",
    ),
    (
        (
            "Name the four seasons.",
            "What are the seasons?",
            "List the four seasons.",
            "What are the four seasons?",
        ),
        "The four seasons are spring, summer, autumn and winter.",
    ),
    (
        (
            "Name the colours of the rainbow.",
            "What are the colours of the rainbow?",
            "List the colors of the rainbow.",
        ),
        "The colours of the rainbow are red, orange, yellow, green, blue, indigo and violet.",
    ),
    (
        ("Name the continents.", "What are the continents?", "List the continents."),
        "The continents are Africa, Antarctica, Asia, Australia, Europe, North America and South America.",
    ),
    (
        (
            "Tell me a story.",
            "Tell a story.",
            "Write a story.",
            "Write a short story.",
            "Please tell me a story about a robot.",
        ),
        STORY,
    ),
    (
        (
            "Write a poem.",
            "Tell me a poem.",
            "Write a poem about the moon.",
            "Say a poem.",
            "Give me a poem.",
        ),
        POEM,
    ),
    (("Write a haiku.", "Tell me a haiku.", "Give me a haiku.", "Write a haiku about a frog."), HAIKU),
    (
        ("Tell me a joke.", "Tell a joke.", "Do you know a joke?", "Say something funny.", "Make me laugh."),
        "Why did the chicken cross the road? To get to the other side!",
    ),
    (
        (
            "Count down from 10 to 1.",
            "Count down from 10.",
            "Count backwards from 10 to 1.",
            "Count backwards from 10.",
        ),
        "10, 9, 8, 7, 6, 5, 4, 3, 2, 1.",
    ),
    (
        ("Write JSON.", "Give me some JSON.", "Show me a JSON object.", "Write a JSON object."),
        '{"name": "tiny", "purpose": "demonstration", "ok": true}',
    ),
    (
        (
            "Write a Python program.",
            "Show me some Python.",
            "Write hello world in Python.",
            "Write some Python code.",
        ),
        '```python\nprint("Hello, world!")\n```',
    ),
    (
        ("Show me an emoji.", "Send me an emoji.", "Give me a smiley.", "Show me some emoji."),
        "Here you are: 🙂🌍🎉",
    ),
)


def _counting() -> Iterator[Fact]:
    for last in (5, 10, 15, 20, 25, 30, 40, 50, 100):
        yield Fact(
            "counting",
            (
                f"Count from 1 to {last}.",
                f"Count to {last}.",
                f"Count up to {last}.",
                f"Can you count to {last}?",
                f"Count from one to {last}.",
                f"List the numbers from 1 to {last}.",
            ),
            ", ".join(str(number) for number in range(1, last + 1)) + ".",
        )


def essay_facts() -> Iterator[Fact]:
    """All explanations, lists and counts."""
    for wordings, answer in EXPLANATIONS:
        yield Fact("explanations", wordings, answer)
    for wordings, answer in LISTS:
        yield Fact("lists", wordings, answer)
    yield from _counting()
