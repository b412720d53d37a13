"""Heavy jobs in child processes: what a job is, who runs it, and how its parent hears of it."""
