"""Who may come in: pure rules, which api asks."""
