"""The SLO review: what was promised, what was delivered, what burned the budget, and whether the pages were worth it."""
