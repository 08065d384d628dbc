"""The IPython side: the grammar, the cell, the display, the registration."""
