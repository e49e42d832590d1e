"""NOTE (remove when done): another engineer is writing tests/server, tests/clients, tests/test_settings.py and
tests/test_architecture.py now. Whoever was asked to write these too: please finish tests/engines, tests/runners and
tests/service, and leave these alone.
"""
