"""The way to the engines: a lane and a watch for each, and what is found in one that nodes share."""
