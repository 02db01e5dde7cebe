"""What can be called, and how an answer or a refusal is put into words; nothing of it waits for a token."""
