"""From the tokenizer files of a folder to the vocabulary keys of a GGUF."""
