"""What a chat, a generate and an embed are. Knows models and slots of runners, neither processes nor HTTP."""
