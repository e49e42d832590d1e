"""The native dialect (`/api`): decoding its requests, encoding its answers. Pure translations round the service."""
