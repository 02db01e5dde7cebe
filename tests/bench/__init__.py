"""`make bench`: what boot, memory and latency cost, all measured in one run. Nothing here is asserted."""
