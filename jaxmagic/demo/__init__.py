"""The population-growth demo."""
