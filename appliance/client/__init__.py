"""The command line's side of the admin socket: who answers, what is asked, what comes back."""
