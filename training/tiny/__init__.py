"""All that makes the bundled model ``tiny``: its facts, its tokenizer, its training, its file, its exam."""
