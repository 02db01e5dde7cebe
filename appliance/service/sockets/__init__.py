"""Where callers come in: paths that are published, who comes, what is spoken there."""
