"""A page becomes text, static HTML or a live view."""
