"""The engines side by side: every way of writing k judgements of a prompt, timed on the same prompts (`__main__`)."""
