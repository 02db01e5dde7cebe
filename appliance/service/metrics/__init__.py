"""What a scrape is told: the table of metrics, where their numbers come from, and how they are written."""
