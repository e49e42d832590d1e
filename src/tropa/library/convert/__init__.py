"""From a Hugging Face folder of safetensors to one GGUF file. `convert.convert` is the way in (docs/convert.md)."""
