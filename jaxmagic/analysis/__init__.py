"""A function and its inputs become a result; JAX lives here."""
