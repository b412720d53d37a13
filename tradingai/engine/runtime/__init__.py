"""The scan loop: one step for live, replay and verification; runs and what they leave behind."""
