"""First boot: observe what is there, plan purely, apply idempotently. Never destructive."""
