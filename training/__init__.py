"""Making the model that ships with Tropa. Nothing in the package imports this."""
