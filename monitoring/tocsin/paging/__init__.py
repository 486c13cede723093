"""What an on-call tool needs: what is declared, what each tool makes of it, and what an alert says."""
