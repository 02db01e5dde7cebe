"""docs/performance.md: each section's last table with its machine, date and command, and what draws it."""
