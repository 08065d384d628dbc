"""A result becomes a page: what to say, decided once."""
