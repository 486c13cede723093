"""Plan → text: translates, decides nothing."""
