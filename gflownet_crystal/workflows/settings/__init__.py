"""Settings of the verbs, checked when they are made."""
