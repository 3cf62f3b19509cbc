"""The embedded default bundle: what `mimdit restore` uses when no `--bundle` is named."""
