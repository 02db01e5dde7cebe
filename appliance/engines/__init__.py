"""The engines, each a module of its own; the registry knows their names."""
