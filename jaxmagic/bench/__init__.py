"""Racing contenders and what the samples say."""
