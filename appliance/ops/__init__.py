"""What operators do to keys: decided purely, built in memory, committed once, written to the audit log."""
