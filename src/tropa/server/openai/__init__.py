"""The OpenAI dialect: `/v1/chat/completions`, `/completions`, `/embeddings`, `/models`, `/responses`.

Pure translations round the service. What cannot be done is refused by name and never ignored in silence where that
would change the answer.
"""
